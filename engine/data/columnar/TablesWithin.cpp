#include "engine/data/columnar/TablesWithin.h"

#include <arrow/buffer.h>
#include <arrow/ipc/message.h>
#include <parquet/metadata.h>
#include <parquet/properties.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include "engine/files/NumberAt.h"

namespace lockstep {

namespace {

constexpr std::string_view kParquetMagic = "PAR1";
constexpr std::uint32_t kContinuation = 0xFFFFFFFF;
constexpr std::uint64_t kBlock = 64 << 10;
constexpr std::uint64_t kMostMetadata = 64 << 20;  ///< behind a table, or before a record batch

std::string bytes_at(const RandomAccessFile& file, std::uint64_t at, std::uint64_t count) {
  std::string bytes(count, '\0');
  file.read_at(at, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

// Of what a Parquet file's footer tells of, from the file's begin; none where it tells of more than `most`.
std::optional<std::uint64_t> told_end(const parquet::FileMetaData& footer, std::uint64_t most) {
  std::uint64_t end = kParquetMagic.size();
  const auto include = [&](std::int64_t offset, std::int64_t length) {
    const auto begin = static_cast<std::uint64_t>(offset);  // a negative one is beyond all files
    const auto count = static_cast<std::uint64_t>(length);
    end = begin > most || count > most - begin ? most + 1 : std::max(end, begin + count);
  };
  for (int i = 0; i < footer.num_row_groups() && end <= most; ++i) {
    const auto group = footer.RowGroup(i);
    for (int j = 0; j < group->num_columns() && end <= most; ++j) {
      const auto column = group->ColumnChunk(j);
      const std::int64_t dictionary = column->has_dictionary_page() ? column->dictionary_page_offset() : 0;
      const std::int64_t data = column->data_page_offset();
      include(dictionary > 0 ? std::min(dictionary, data) : data, column->total_compressed_size());
      if (const auto index = column->GetColumnIndexLocation()) include(index->offset, index->length);
      if (const auto index = column->GetOffsetIndexLocation()) include(index->offset, index->length);
      if (const auto filter = column->bloom_filter_offset())
        include(*filter, column->bloom_filter_length().value_or(0));
    }
  }
  return end <= most ? std::optional(end) : std::nullopt;
}

// A Parquet file says at its end where its parts lie, counted from its begin, and not how long it is. It begins so far
// before its footer as these reach; or before that, where it holds something that its footer does not tell of.
std::uint64_t parquet_begin(const RandomAccessFile& file, std::uint64_t end) {
  constexpr std::uint64_t kTail = 8;
  if (end < kParquetMagic.size() + kTail) return 0;
  const std::string tail = bytes_at(file, end - kTail, kTail);
  const std::uint32_t length = number_at<std::uint32_t>(tail.data());
  const std::uint64_t most = std::min(end - kTail - kParquetMagic.size(), kMostMetadata);
  if (!tail.ends_with(kParquetMagic) || length > most) return 0;
  const std::uint64_t footer = end - kTail - length;
  const auto metadata = parquet::FileMetaData::Make(bytes_at(file, footer, length).data(), std::int64_t{length});
  const std::optional<std::uint64_t> told = told_end(*metadata, footer);
  if (!told || *told == footer) return 0;
  const std::uint64_t last = footer - *told;
  if (bytes_at(file, last, kParquetMagic.size()) == kParquetMagic) return last;
  const std::string border = std::string(kParquetMagic) + std::string(kParquetMagic);
  for (std::uint64_t to = last + kParquetMagic.size(); to > border.size();) {
    const std::uint64_t from = to > kBlock ? to - kBlock : 0;
    const std::size_t at = bytes_at(file, from, to - from).rfind(border);
    if (at != std::string::npos) return from + at + kParquetMagic.size();
    to = from == 0 ? 0 : from + border.size() - 1;
  }
  return 0;
}

// Of the stream that begins there: behind the mark of its end. None where there is no table that ends before the file.
std::optional<std::uint64_t> stream_end(const RandomAccessFile& file, std::uint64_t at, arrow::MemoryPool* pool) {
  const auto has = [&](std::uint64_t count) { return count <= file.size() - at; };
  for (bool empty = true;; empty = false) {
    std::uint32_t length = kContinuation;
    for (int word = 0; word < 2 && length == kContinuation; ++word) {
      if (!has(sizeof length)) return std::nullopt;
      length = number_at<std::uint32_t>(bytes_at(file, at, sizeof length).data());
      at += sizeof length;
    }
    if (length == 0) return empty ? std::nullopt : std::optional(at);
    if (!has(length) || length > kMostMetadata) return std::nullopt;
    auto metadata = arrow::AllocateBuffer(length, pool);
    if (!metadata.ok()) return std::nullopt;
    file.read_at(at, {reinterpret_cast<std::byte*>((*metadata)->mutable_data()), length});
    at += length;
    const auto message = arrow::ipc::Message::Open(std::shared_ptr(*std::move(metadata)), nullptr);
    const std::int64_t body = message.ok() ? (*message)->body_length() : -1;
    if (body < 0 || !has(static_cast<std::uint64_t>(body))) return std::nullopt;
    at += static_cast<std::uint64_t>(body);
  }
}

// An Arrow file has a list of its parts behind the stream, the list's length and the magic number.
std::uint64_t arrow_end(const RandomAccessFile& file, std::uint64_t begin, arrow::MemoryPool* pool) {
  const std::uint64_t size = file.size();
  if (size - begin < kArrowStart) return size;
  const bool framed = bytes_at(file, begin, kArrowMagic.size()) == kArrowMagic;
  const std::optional<std::uint64_t> stream = stream_end(file, framed ? begin + kArrowStart : begin, pool);
  if (!stream || !framed) return stream.value_or(size);
  const std::uint64_t rest = std::min(size - *stream, kMostMetadata);
  for (std::uint64_t count = std::min(kBlock, rest);; count = std::min(2 * count, rest)) {
    const std::string bytes = bytes_at(file, *stream, count);
    for (std::size_t at = bytes.find(kArrowMagic, sizeof(std::uint32_t)); at != std::string::npos;
         at = bytes.find(kArrowMagic, at + 1)) {
      const std::size_t length = at - sizeof(std::uint32_t);
      if (number_at<std::uint32_t>(&bytes[length]) == length) return *stream + at + kArrowMagic.size();
    }
    if (count == rest) return size;
  }
}

}  // namespace

std::vector<std::uint64_t> table_ends(const RandomAccessFile& file, ColumnarKind kind, arrow::MemoryPool* pool) {
  std::vector<std::uint64_t> ends;
  if (kind == ColumnarKind::kArrow) {
    do {
      ends.push_back(arrow_end(file, ends.empty() ? 0 : ends.back(), pool));
    } while (ends.back() < file.size());
    return ends;
  }
  for (std::uint64_t end = file.size(); ends.empty() || end > 0;) {
    ends.push_back(end);
    try {
      end = parquet_begin(file, end);
    } catch (const std::exception&) {  // Parquet's, of a footer
      end = 0;
    }
  }
  std::ranges::reverse(ends);
  return ends;
}

}  // namespace lockstep
