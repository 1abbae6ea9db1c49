#include "engine/data/columnar/TablesWithin.h"

#include <arrow/buffer.h>
#include <arrow/ipc/message.h>
#include <parquet/properties.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include "common/Error.h"
#include "engine/files/NumberAt.h"

namespace lockstep {

namespace {

constexpr std::uint32_t kContinuation = 0xFFFFFFFF;
constexpr std::uint64_t kBlock = 64 << 10;
constexpr std::uint64_t kMostMetadata = 64 << 20;  ///< behind an Arrow table, or before a record batch
constexpr std::uint64_t kMostFooter = 512 << 20;   ///< of Parquet; Arrow opens no larger one (ArrowFile)
constexpr std::size_t kMostTables = 65'536;        ///< each takes some kilobytes, however small it is

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
      const bool first = dictionary > 0 && (dictionary < data || data == 0);  // no row: no page of data
      include(first ? dictionary : data, column->total_compressed_size());
      if (const auto index = column->GetColumnIndexLocation()) include(index->offset, index->length);
      if (const auto index = column->GetOffsetIndexLocation()) include(index->offset, index->length);
      if (const auto filter = column->bloom_filter_offset())
        include(*filter, column->bloom_filter_length().value_or(0));
    }
  }
  return end <= most ? std::optional(end) : std::nullopt;
}

// Where the last of these stands in the file before `end`, at `from` or behind it.
std::optional<std::uint64_t> last_place(const RandomAccessFile& file, std::string_view wanted, std::uint64_t from,
                                        std::uint64_t end) {
  while (end - from >= wanted.size()) {
    const std::uint64_t begin = end - from > kBlock ? end - kBlock : from;
    const std::size_t at = bytes_at(file, begin, end - begin).rfind(wanted);
    if (at != std::string::npos) return begin + at;
    if (begin == from) break;
    end = begin + wanted.size() - 1;
  }
  return std::nullopt;
}

[[noreturn]] void refuse_part(const RandomAccessFile& file, const std::string& part, std::uint64_t at,
                              const std::string& why) {
  throw InputError(file.name() + " cannot be read as " + part + " at byte " + std::to_string(at) + " " + why +
                   "; copy or write it again");
}

// A Parquet file says at its end where its parts lie, counted from its begin, and not how long it is. It begins so far
// before its footer as these reach; or before that, where it holds something that its footer does not tell of. A table
// that was taken to begin elsewhere would be read with the numbers of another one: what does not fit is refused.
std::uint64_t parquet_begin(const RandomAccessFile& file, TableWithin& table) {
  const std::uint64_t end = table.end;
  constexpr std::uint64_t kMagic = kParquetMagic.size();
  constexpr std::uint64_t kTail = sizeof(std::uint32_t) + kMagic;
  if (end < kMagic + kTail) return 0;
  const std::string tail = bytes_at(file, end - kTail, kTail);
  const std::uint32_t length = number_at<std::uint32_t>(tail.data());
  if (!tail.ends_with(kParquetMagic) || length > std::min(end - kTail - kMagic, kMostFooter)) return 0;
  const std::uint64_t footer = end - kTail - length;
  const std::optional<std::uint64_t> told = [&] {
    try {
      const std::string bytes = bytes_at(file, footer, length);
      table.footer = parquet::FileMetaData::Make(bytes.data(), std::int64_t{length});
      return told_end(*table.footer, footer);
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {  // Parquet's
      refuse_part(file, "Parquet: the footer", footer, std::string("is damaged: ") + error.what());
    }
  }();
  if (!told) refuse_part(file, "Parquet: the footer", footer, "tells of more than is before it");
  const std::uint64_t last = footer - *told;
  const auto magic_at = [&](std::uint64_t at) { return bytes_at(file, at, kMagic) == kParquetMagic; };
  // Of a begin and the end before it one is enough: where the other is damaged, its table is refused when it is opened.
  // Four bytes that the footer does not tell of look like such an end, with a border, or the file's begin, before them.
  const bool begins = last == 0 || magic_at(last);
  const bool ends = !begins && last >= 2 * kMagic && magic_at(last - kMagic) && !magic_at(last - 2 * kMagic);
  if (begins || ends) return last;
  const std::string border = std::string(kParquetMagic) + std::string(kParquetMagic);
  const std::optional<std::uint64_t> found = last_place(file, border, 0, footer);
  const std::uint64_t begin = found ? *found + kMagic : 0;
  if (begin > last)
    refuse_part(file, "Parquet: the footer", footer, "tells of more than the table that ends there has");
  if (last_place(file, kParquetMagic, begin + *told, footer)) {
    refuse_part(file, "Parquet: the footer", footer, "does not tell where its table begins");
  }
  return begin;
}

// Whether a message has more bytes than it uses, and than writers fill up with: batches could lie in these, and would
// be skipped. Its flatbuffer, which Arrow has checked, is a Message (Message.fbs of Arrow's format).
bool is_too_long(const arrow::ipc::Message& message) {
  constexpr std::int64_t kMostFilling = 128;  // writers align to 64 bytes; no batch with its body takes less than this
  const auto metadata = message.metadata();
  if (metadata->size() > kMostFilling &&
      arrow::ipc::Message::Open(arrow::SliceBuffer(metadata, 0, metadata->size() - kMostFilling), nullptr).ok()) {
    return true;
  }
  const auto target = [](const std::uint8_t* offset) { return offset + number_at<std::uint32_t>(offset); };
  const auto field = [&](const std::uint8_t* offset, std::uint16_t number) -> const std::uint8_t* {
    if (offset == nullptr) return nullptr;
    const std::uint8_t* const table = target(offset);
    const std::uint8_t* const places = table - number_at<std::int32_t>(table);
    const auto entry = static_cast<std::uint16_t>(4 + 2 * number);
    const auto place = entry < number_at<std::uint16_t>(places) ? number_at<std::uint16_t>(places + entry) : 0;
    return place == 0 ? nullptr : table + place;
  };
  const bool dictionary = message.type() == arrow::ipc::MessageType::DICTIONARY_BATCH;
  const std::uint8_t* batch = field(metadata->data(), 2);
  if (dictionary) batch = field(batch, 1);
  std::int64_t used = 0;
  if (dictionary || message.type() == arrow::ipc::MessageType::RECORD_BATCH) {
    const std::uint8_t* const buffers = field(batch, 2);
    const std::uint32_t count = buffers == nullptr ? 0 : number_at<std::uint32_t>(target(buffers));
    for (std::uint32_t i = 0; i < count; ++i) {  // each an offset and a length
      const std::uint8_t* const buffer = target(buffers) + sizeof count + std::size_t{16} * i;
      const auto begin = number_at<std::uint64_t>(buffer);
      used = std::max(used, static_cast<std::int64_t>(begin + number_at<std::uint64_t>(buffer + 8)));
    }
  }
  return message.body_length() > used && message.body_length() - used > kMostFilling;
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
    if (is_too_long(**message))
      refuse_part(file, "Arrow IPC: the message", at - length, "is longer than what it holds");
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

std::vector<TableWithin> tables_within(const RandomAccessFile& file, ColumnarKind kind, arrow::MemoryPool* pool) {
  std::vector<TableWithin> tables;
  const auto add = [&](std::uint64_t end) -> TableWithin& {
    if (tables.size() == kMostTables) {
      throw InputError(file.name() + " holds more than " + std::to_string(kMostTables) +
                       " tables behind each other: write it as one table");
    }
    return tables.emplace_back(TableWithin{.end = end});
  };
  if (kind == ColumnarKind::kArrow) {
    do {
      add(arrow_end(file, tables.empty() ? 0 : tables.back().end, pool));
    } while (tables.back().end < file.size());
    return tables;
  }
  std::uint64_t end = file.size();
  do {
    end = parquet_begin(file, add(end));
  } while (end > 0);
  std::ranges::reverse(tables);
  return tables;
}

}  // namespace lockstep
