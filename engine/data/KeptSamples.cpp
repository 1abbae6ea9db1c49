#include "engine/data/KeptSamples.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

#include "common/Digest.h"
#include "common/Error.h"

namespace lockstep {

KeptSamples::KeptSamples(std::shared_ptr<const Dataset> all, const std::vector<std::int64_t>& left_out,
                         const std::string& note)
    : SelectedSamples(std::move(all)), note_(this->all().note()) {
  for (const std::int64_t sample : left_out) kept_before_.push_back(sample - std::ssize(kept_before_));
  if (size() <= 0 || !std::ranges::is_sorted(left_out, std::less_equal<>())) {
    throw InternalError("these samples cannot be left out");
  }
  Digest digest;
  digest.update(this->all().digest());
  digest.update(std::as_bytes(std::span(left_out)));
  digest_ = digest.hex();
  note_ += (note_.empty() || note.empty() ? "" : "; ") + note;
}

std::int64_t KeptSamples::number(std::int64_t sample) const {
  return sample + (std::ranges::upper_bound(kept_before_, sample) - kept_before_.begin());
}

}  // namespace lockstep
