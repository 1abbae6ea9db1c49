// Windows of files of tokens, each with the tokens that follow as its targets.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/data/Dataset.h"
#include "engine/data/TokenFile.h"

namespace lockstep {

/// A sample is `window` tokens, the field `tokens`, and the same one token later, `targets`, both int64. Windows do not
/// overlap, but for the token that is the last target of one and the first token of the next, and do not go on from one
/// file to the next: what is left at the end of each is left out. Holds no token: data may be larger than memory. The
/// digest is of the layout and of a part of the files' bytes (update_sampled).
class TokenDataset : public Dataset {
 public:
  /// Throws InputError, naming `origin`, when no file holds a window.
  TokenDataset(const std::string& origin, std::vector<TokenFile> files, std::int64_t window);

  std::int64_t size() const override { return first_.back(); }
  const SampleSpec& spec() const override { return spec_; }
  std::string digest() const override { return digest_; }
  std::string place(std::size_t field, std::int64_t sample) const override;
  /// Which tokens are left out, and which files' type was assumed.
  std::string note() const override;
  /// Throws InputError, naming file and byte, for a file that has become shorter.
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override;

 private:
  struct Found {
    const TokenFile* file = nullptr;
    std::int64_t token = 0;
  };
  Found find(std::int64_t sample) const;

  std::vector<TokenFile> files_;
  std::vector<std::int64_t> first_;  ///< sample of each file, and at last their count
  std::int64_t window_;
  SampleSpec spec_;
  std::string digest_;
};

}  // namespace lockstep
