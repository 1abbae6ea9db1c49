#include "engine/data/formats/ImageRecordIoFormat.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/Digest.h"
#include "common/Error.h"
#include "engine/data/RecordIndex.h"
#include "engine/data/SampledDigest.h"
#include "engine/data/images/ImageDataset.h"
#include "engine/data/records/MxnetImage.h"
#include "engine/data/records/OpenRecords.h"
#include "engine/data/records/RecordIo.h"

namespace lockstep {

namespace {

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Images that are records.
class RecordIoImages : public ImageSource {
 public:
  /// Throws InputError for files that are not intact, and for labels that are none, unless records may be bad
  /// (ChannelOptions::most_bad).
  explicit RecordIoImages(const ChannelFiles& channel) : files_(open_random_access(channel.files)) {
    const bool may_be_bad = channel.options.most_bad > 0;
    for (const RandomAccessFile& file : files_) {
      const auto length = [&](HeaderWindow& headers, std::uint64_t offset) {
        const std::uint64_t bytes = recordio_length(headers, offset);
        try {
          check_size(bytes);
          labels_.push_back(read_label(file, headers, offset, bytes));
        } catch (const InputError&) {
          if (!may_be_bad) throw;
          labels_.push_back(-1);  // whoever reads the record finds out
        }
        return bytes;
      };
      index_records(file, length, index_, may_be_bad);
      labels_.resize(static_cast<std::size_t>(index_.size()), -1);  // one whose header is damaged
    }
    digest_lengths(index_, files_, lengths_);
  }

  std::int64_t size() const override { return index_.size(); }
  std::int64_t label(std::int64_t sample) const override { return labels_[static_cast<std::size_t>(sample)]; }
  std::string place(std::int64_t sample) const override {
    const RecordIndex::Place place = index_.place(sample);
    return record_place(files_[place.file].name(), place.record, place.offset);
  }
  void read(std::int64_t sample, std::vector<std::byte>& bytes) const override {
    thread_local std::vector<std::byte> record;
    const RecordIndex::Place place = index_.place(sample);
    try {
      if (place.damage != nullptr) throw InputError(*place.damage);
      check_size(place.length);
      record.resize(place.length);
      files_[place.file].read_at(place.offset, record);
      const std::string_view data = recordio_data(text_of(record));
      (void)mxnet_label(data);
      const auto image = std::as_bytes(std::span(mxnet_image(data)));
      bytes.assign(image.begin(), image.end());
    } catch (const InputError& error) {
      throw InputError(this->place(sample) + ": " + error.what());
    }
  }
  void update(Digest& digest) const override {
    digest.update(lengths_.hex());
    for (const RandomAccessFile& file : files_) update_sampled(digest, file);
  }

 private:
  static void check_size(std::uint64_t bytes) {
    if (bytes <= kMostImageBytes) return;
    throw InputError("it has " + std::to_string(bytes) + " bytes; an image has at most " +
                     std::to_string(kMostImageBytes));
  }
  static std::int32_t read_label(const RandomAccessFile& file, HeaderWindow& headers, std::uint64_t offset,
                                 std::uint64_t length) {
    const RecordIoHeader first = recordio_header(headers.at(offset, RecordIoHeader::kBytes)).value();
    if (first.ends() || first.length >= kMxnetLabelBytes) {
      const std::size_t looked_at = std::min<std::size_t>(first.length, kMxnetLabelBytes);
      return mxnet_label(text_of(headers.at(offset + RecordIoHeader::kBytes, looked_at)));
    }
    // The magic number is in its header.
    std::vector<std::byte> record(std::min(length, file.size() - offset));
    file.read_at(offset, record);
    return mxnet_label(recordio_data(text_of(record)));
  }

  std::vector<RandomAccessFile> files_;
  RecordIndex index_;
  std::vector<std::int32_t> labels_;
  Digest lengths_;
};

}  // namespace

Format image_recordio_format() {
  return {.name = "image RecordIO",
          .recognises =
              [](const FileHead& head) {
                const auto header = recordio_header(std::as_bytes(head.bytes));
                if (!header) return false;
                const std::string_view data = text_of(std::as_bytes(head.bytes.subspan(RecordIoHeader::kBytes)));
                return begins_mxnet_image(data.substr(0, header->length));
              },
          .open = [](const ChannelFiles& channel) -> std::unique_ptr<Dataset> {
            return std::make_unique<ImageDataset>(channel.origin(), std::make_unique<RecordIoImages>(channel),
                                                  std::vector<std::string>(), channel.options);
          }};
}

}  // namespace lockstep
