// Hosts as people count them.
#pragma once

#include <map>

namespace lockstep {

/// Numbers hosts from 0, in the order in which they are first asked for.
class HostNumbers {
 public:
  /// `host`: any number that the ranks of a host have in common.
  int of(int host) { return numbers_.try_emplace(host, static_cast<int>(numbers_.size())).first->second; }

 private:
  std::map<int, int> numbers_;
};

}  // namespace lockstep
