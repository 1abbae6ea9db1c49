// A data set without some of its samples.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/data/SelectedSamples.h"

namespace lockstep {

/// The samples of another data set but for those that are left out.
class KeptSamples : public SelectedSamples {
 public:
  /// `left_out`: numbers of samples of `all`, in ascending order, each once; not all that there are. `note`: why.
  KeptSamples(std::shared_ptr<const Dataset> all, const std::vector<std::int64_t>& left_out, const std::string& note);

  std::int64_t size() const override { return all().size() - static_cast<std::int64_t>(kept_before_.size()); }
  std::string digest() const override { return digest_; }
  std::string note() const override { return note_; }

 private:
  std::int64_t number(std::int64_t sample) const override;

  std::vector<std::int64_t> kept_before_;  ///< by sample that is left out: kept ones before it
  std::string digest_;
  std::string note_;
};

}  // namespace lockstep
