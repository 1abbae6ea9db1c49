// Encoded images as samples of one size.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/data/ChannelFiles.h"
#include "engine/data/Dataset.h"
#include "engine/data/images/ImageMaker.h"
#include "engine/data/images/ImageSource.h"

namespace lockstep {

/// A sample is `image`, bytes of [channels, height, width], and a label, int64. Images are made (ImageMaker) when they
/// are asked for; none is held: data may be larger than memory.
class ImageDataset : public Dataset {
 public:
  /// As large as the program's input is, or, where that is not known, as the first image. `categories`: what labels
  /// stand for, each of which is below their count; none: that is not known. `label`: their field's name. Throws
  /// InputError, naming `origin`, when there is no image, or when one of those looked at is none, unless there may be
  /// such (ChannelOptions::most_bad).
  ImageDataset(const std::string& origin, std::unique_ptr<const ImageSource> source,
               std::vector<std::string> categories, const ChannelOptions& options, std::string label = "target");

  std::int64_t size() const override { return source_->size(); }
  const SampleSpec& spec() const override { return spec_; }
  std::string digest() const override { return digest_; }
  std::string place(std::size_t field, std::int64_t sample) const override;
  /// The sizes of some images, and what becomes of them.
  std::string note() const override { return note_; }
  bool crops() const override { return true; }
  std::optional<std::vector<BadRecord>> bad_records() const override { return std::nullopt; }
  /// Throws InputError, naming the image, for one that cannot be read or decoded.
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override;
  /// With random parts of images, where the options say so.
  void read_varied(std::span<const std::int64_t> samples, std::span<std::byte* const> fields,
                   const Draw& draw) const override;

 private:
  std::string describe_sizes(bool may_be_bad) const;
  void read_all(std::span<const std::int64_t> samples, std::span<std::byte* const> fields, const Draw* draw) const;

  std::unique_ptr<const ImageSource> source_;
  ImageMaker maker_;
  SampleSpec spec_;
  std::string digest_;
  std::string note_;
};

}  // namespace lockstep
