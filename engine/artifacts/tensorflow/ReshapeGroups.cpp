#include "engine/artifacts/tensorflow/ReshapeGroups.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

namespace lockstep {

namespace {

// The end, in both, of the shortest run of known sizes from `i` and `j` whose products are equal.
std::optional<std::pair<std::size_t, std::size_t>> equal_run(const std::vector<Dimension>& from, std::size_t i,
                                                             const std::vector<Dimension>& to, std::size_t j) {
  std::int64_t first = 1;
  std::int64_t second = 1;
  const auto extend = [](const std::vector<Dimension>& sizes, std::size_t& at, std::int64_t& product) {
    const auto* size = at < sizes.size() ? std::get_if<std::int64_t>(&sizes[at]) : nullptr;
    ++at;
    return size && *size > 0 && !__builtin_mul_overflow(product, *size, &product);
  };
  if (!extend(from, i, first) || !extend(to, j, second)) return std::nullopt;
  while (first != second) {
    if (!(first < second ? extend(from, i, first) : extend(to, j, second))) return std::nullopt;
  }
  return std::pair(i, j);
}

Ints run(std::size_t begin, std::size_t end) {
  Ints numbers;
  for (std::size_t i = begin; i < end; ++i) numbers.push_back(static_cast<std::int64_t>(i));
  return numbers;
}

}  // namespace

std::vector<ReshapeGroup> reshape_groups(const std::vector<Dimension>& from, const std::vector<Dimension>& to) {
  std::vector<ReshapeGroup> groups;
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < from.size() || j < to.size()) {
    if (i < from.size() && j < to.size() && from[i] == to[j]) {
      groups.push_back({run(i, i + 1), run(j, j + 1)});
      ++i, ++j;
    } else if (i < from.size() && is_one(from[i])) {
      groups.push_back({run(i, i + 1), {}});
      ++i;
    } else if (j < to.size() && is_one(to[j])) {
      groups.push_back({{}, run(j, j + 1)});
      ++j;
    } else if (const auto end = equal_run(from, i, to, j)) {
      groups.push_back({run(i, end->first), run(j, end->second)});
      std::tie(i, j) = *end;
    } else {
      break;
    }
  }
  std::size_t last_from = from.size();
  std::size_t last_to = to.size();
  std::vector<ReshapeGroup> behind;
  while (last_from > i && last_to > j && from[last_from - 1] == to[last_to - 1]) {
    --last_from, --last_to;
    behind.push_back({run(last_from, last_from + 1), run(last_to, last_to + 1)});
  }
  if (last_from > i || last_to > j) groups.push_back({run(i, last_from), run(j, last_to)});
  groups.insert(groups.end(), behind.rbegin(), behind.rend());
  return groups;
}

ReshapePlan plan_reshape(const Ints& axes, const std::vector<Dimension>& from, const std::vector<Dimension>& to) {
  std::vector<ReshapeGroup> groups = reshape_groups(from, to);
  const auto place = [&](const ReshapeGroup& group) {
    std::ptrdiff_t first = -1;  // of what has one element only: in front
    for (std::ptrdiff_t i = std::ssize(axes); i-- > 0;) {
      const std::int64_t axis = axes[static_cast<std::size_t>(i)];
      if (std::ranges::count(group.from, axis) > 0 && !is_one(from[static_cast<std::size_t>(axis)])) first = i;
    }
    return first;
  };
  std::vector<std::pair<std::ptrdiff_t, const ReshapeGroup*>> ordered;
  std::ptrdiff_t last = -1;
  for (const ReshapeGroup& group : groups) {
    const std::ptrdiff_t at = place(group);
    if (at >= 0) last = at;
    ordered.emplace_back(at >= 0 ? at : last, &group);  // what has one element stays behind what it stood behind
  }
  std::ranges::stable_sort(ordered, {}, [](const auto& each) { return each.first; });
  ReshapePlan plan;
  for (const auto& [at, group] : ordered) {
    plan.before.insert(plan.before.end(), group->from.begin(), group->from.end());
    plan.after.insert(plan.after.end(), group->to.begin(), group->to.end());
  }
  return plan;
}

}  // namespace lockstep
