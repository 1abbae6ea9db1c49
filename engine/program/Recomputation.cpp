#include "engine/program/Recomputation.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "common/Text.h"
#include "engine/program/ActivationBytes.h"
#include "engine/program/OperatorTraits.h"
#include "engine/program/Repeatable.h"

namespace lockstep {

namespace {

constexpr std::size_t kMostCuts = 1500;  // a search takes the square of them

// Whether its results are new tensors, as far as is known: dropout's are while it trains.
bool makes_memory(const Node& node) {
  const OperatorTraits& traits = operator_traits(node);
  if (node.in_place()) return false;
  if (traits.sharing == Sharing::kAlways) return traits.random;
  return traits.sharing == Sharing::kNever || traits.keeps == Keeps::kOther;
}

bool saves_inputs(const Node& node) {
  const OperatorTraits& traits = operator_traits(node);
  if (traits.sharing == Sharing::kAlways && !traits.random) return false;  // a view
  return traits.saves == Saves::kInputs || traits.saves == Saves::kBoth;
}

bool saves_results(const Node& node) {
  const Saves saves = operator_traits(node).saves;
  return saves == Saves::kResults || saves == Saves::kBoth;
}

/// Looks for the cuts of least peak. Positions are those before a node; the last is behind all. What a stretch takes
/// while backward is in it: what nodes before its end have kept, what comes from stretches before into later ones, and
/// what its nodes save when they run again.
class CutSearch {
 public:
  CutSearch(const Graph& graph, const Repeatable& repeatable);

  double all() const { return all_; }
  /// Cuts from the first position to the last, and their peak.
  double find(std::vector<std::size_t>& cuts) const;
  /// Whether the last stretch may as well keep what it saves, since backward comes to it at once.
  bool keeps_last(const std::vector<std::size_t>& cuts, double peak) const;

 private:
  void measure(const Graph& graph, const Repeatable& repeatable);
  double saved(std::size_t begin, std::size_t end) const { return saved_before_[end] - saved_before_[begin]; }
  std::vector<std::size_t> allowed_cuts(const Repeatable& repeatable) const;
  double crossing(std::size_t begin, std::size_t end) const;
  std::vector<std::size_t> cuts_within(double most) const;

  std::vector<double> bytes_;           // by node: of what it makes and runs again for; 0 for one that does not
  std::vector<double> saved_before_;    // of nodes that run again before each position, bytes that autograd would save
  std::vector<double> kept_before_;     // of the others, bytes that stay
  std::vector<std::size_t> last_read_;  // by node: the last node that reads what it makes, and 1
  std::vector<std::vector<std::size_t>> read_last_by_;  // nodes by last_read_
  std::vector<std::size_t> cuts_;                       // where the program may be cut
  double all_ = 0;                                      // that autograd would save
  double returned_ = 0;
};

CutSearch::CutSearch(const Graph& graph, const Repeatable& repeatable)
    : saved_before_{0}, kept_before_{0}, read_last_by_(graph.nodes.size() + 2) {
  measure(graph, repeatable);
  cuts_ = allowed_cuts(repeatable);
}

void CutSearch::measure(const Graph& graph, const Repeatable& repeatable) {
  struct Use {
    std::size_t last = 0;
    bool saved = false;
    bool again = false;  // a node that runs again reads it
  };
  std::map<std::string, Use> uses;  // by memory
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    for (const std::string& read : node.tensors()) {
      Use& use = uses[repeatable.memory(read)];
      use.last = i + 1;
      use.saved = use.saved || saves_inputs(node);
      use.again = use.again || repeatable.node(i);
    }
    for (const std::string& result : node.results()) {
      Use& use = uses[repeatable.memory(result)];
      use.saved = use.saved || saves_results(node);
    }
  }
  for (const std::string& output : graph.outputs) {
    uses[repeatable.memory(output)].last = graph.nodes.size() + 1;
    returned_ += bytes_of(graph, output);
  }
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    double bytes = 0;
    double saved = 0;
    double kept = 0;
    std::size_t last = 0;
    for (const std::string& result : node.results()) {
      const Use& use = uses[repeatable.memory(result)];
      const double size = makes_memory(node) ? bytes_of(graph, result) : 0;
      bytes += size;
      saved += use.saved ? size : 0;
      kept += use.saved || use.again ? size : 0;
      last = std::max(last, use.last);
    }
    const bool again = repeatable.node(i);
    const OperatorTraits& traits = operator_traits(node);
    if (traits.random && traits.again == Again::kCheap) {  // what it has drawn
      saved += bytes;
      kept += bytes;
    }
    all_ += saved;
    bytes_.push_back(again ? bytes : 0);
    saved_before_.push_back(saved_before_.back() + (again ? saved : 0));
    kept_before_.push_back(kept_before_.back() + (again ? 0 : kept));
    last_read_.push_back(last);
    read_last_by_[last].push_back(i);
  }
}

// With the first and the last position. Where there are too many, of neighbours the one that the fewest bytes cross.
std::vector<std::size_t> CutSearch::allowed_cuts(const Repeatable& repeatable) const {
  const std::size_t end = last_read_.size();
  std::vector<std::size_t> cuts;
  for (std::size_t position = 1; position < end; ++position) {
    if (repeatable.may_cut(position)) cuts.push_back(position);
  }
  if (cuts.size() > kMostCuts) {
    std::vector<double> crosses(end + 1);
    double live = 0;
    for (std::size_t position = 1; position < end; ++position) {
      if (last_read_[position - 1] > position) live += bytes_[position - 1];
      for (const std::size_t node : read_last_by_[position]) {
        if (node + 1 < position) live -= bytes_[node];
      }
      crosses[position] = live;
    }
    std::vector<std::size_t> best;
    for (std::size_t part = 0; part < kMostCuts; ++part) {
      const auto first = cuts.begin() + static_cast<std::ptrdiff_t>(part * cuts.size() / kMostCuts);
      const auto last = cuts.begin() + static_cast<std::ptrdiff_t>((part + 1) * cuts.size() / kMostCuts);
      best.push_back(*std::min_element(first, last, [&](auto a, auto b) { return crosses[a] < crosses[b]; }));
    }
    cuts = std::move(best);
  }
  cuts.insert(cuts.begin(), 0);
  cuts.push_back(end);
  return cuts;
}

// Bytes that nodes of the stretch make and nodes behind it read.
double CutSearch::crossing(std::size_t begin, std::size_t end) const {
  double bytes = 0;
  for (std::size_t node = begin; node < end; ++node) {
    if (last_read_[node] > end) bytes += bytes_[node];
  }
  return bytes;
}

// The cuts that fewest bytes cross, of those whose peak is no more than `most`; none where there are none. The fewer
// bytes cross up to a cut, the lower is the peak behind it: the best cuts up to each one are part of the best.
std::vector<std::size_t> CutSearch::cuts_within(double most) const {
  constexpr double kNever = std::numeric_limits<double>::infinity();
  std::vector<double> least(cuts_.size(), kNever);
  std::vector<std::size_t> from(cuts_.size(), 0);
  least[0] = 0;
  for (std::size_t i = 0; i + 1 < cuts_.size(); ++i) {
    if (least[i] == kNever) continue;
    double crosses = 0;
    std::size_t position = cuts_[i];
    for (std::size_t j = i + 1; j < cuts_.size(); ++j) {
      if (least[i] + kept_before_[cuts_[j]] + saved(cuts_[i], cuts_[j]) > most) break;
      for (; position < cuts_[j]; ++position) {
        if (last_read_[position] > position + 1) crosses += bytes_[position];
        for (const std::size_t node : read_last_by_[position + 1]) {
          if (node >= cuts_[i] && node < position) crosses -= bytes_[node];
        }
      }
      if (least[i] + crosses >= least[j]) continue;
      least[j] = least[i] + crosses;
      from[j] = i;
    }
  }
  if (least.back() == kNever) return {};
  std::vector<std::size_t> cuts;
  for (std::size_t i = cuts_.size() - 1; i > 0; i = from[i]) cuts.push_back(cuts_[i]);
  cuts.push_back(0);
  std::ranges::reverse(cuts);
  return cuts;
}

double CutSearch::find(std::vector<std::size_t>& cuts) const {
  double low = 0;
  double high = kept_before_.back() + saved_before_.back();
  cuts = {0, cuts_.back()};
  for (int step = 0; step < 20 && low < 0.99 * high; ++step) {
    const double middle = (low + high) / 2;
    const std::vector<std::size_t> found = cuts_within(middle);
    (found.empty() ? low : high) = middle;
    if (!found.empty()) cuts = found;
  }
  return high;
}

// While the loss is computed, it and its gradient are as large as the outputs.
bool CutSearch::keeps_last(const std::vector<std::size_t>& cuts, double peak) const {
  double held = 2 * returned_ + kept_before_.back() + saved(cuts[cuts.size() - 2], cuts.back());
  for (std::size_t i = 0; i + 2 < cuts.size(); ++i) held += crossing(cuts[i], cuts[i + 1]);
  return held <= 1.02 * peak;
}

}  // namespace

std::size_t RecomputationPlan::nodes_again() const { return static_cast<std::size_t>(std::ranges::count(again, true)); }

RecomputationPlan plan_recomputation(const Graph& graph, Recompute mode, bool random) {
  RecomputationPlan plan;
  plan.again.assign(graph.nodes.size(), false);
  if (mode == Recompute::kNone || graph.nodes.empty()) return plan;
  const Repeatable repeatable(graph, mode, random);
  const CutSearch search(graph, repeatable);
  const double samples = samples_of(graph);
  std::vector<std::size_t> cuts;
  const double peak = search.find(cuts);
  plan.bytes = plan.bytes_held = search.all() / samples;
  if (!(peak < 0.95 * search.all())) return plan;
  plan.bytes_held = peak / samples;
  if (search.keeps_last(cuts, peak)) cuts.pop_back();
  for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
    bool any = false;
    for (std::size_t node = cuts[i]; node < cuts[i + 1]; ++node) any |= plan.again[node] = repeatable.node(node);
    if (any) plan.stretches.push_back({.begin = cuts[i], .end = cuts[i + 1]});
  }
  return plan;
}

std::string describe(const RecomputationPlan& plan, const Graph& graph) {
  constexpr double kMib = 1 << 20;
  if (plan.empty()) {
    return "nothing runs again in backward: that would spare less than a twentieth of the activations";
  }
  return format(
      "%zu of %zu operators run again in backward, in %zu %s of the program: of %.1f MiB of activations for each "
      "sample, "
      "about %.1f are held at once",
      plan.nodes_again(), graph.nodes.size(), plan.stretches.size(), plan.stretches.size() == 1 ? "part" : "parts",
      plan.bytes / kMib, plan.bytes_held / kMib);
}

}  // namespace lockstep
