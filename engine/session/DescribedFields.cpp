#include "engine/session/DescribedFields.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/HeldBack.h"
#include "engine/data/SliceReads.h"
#include "engine/data/fields/FieldsDataset.h"
#include "engine/session/SetUpPhase.h"

namespace lockstep {

namespace {

std::int64_t samples_of(const Dataset& dataset) {
  return dataset.shards() != nullptr ? dataset.shards()->samples() : dataset.size();
}

// This rank's share of its own samples, such that each sample is some rank's.
Slice share_of(const Dataset& dataset, const Communicator& ranks) {
  const Shards shards = dataset.shards() != nullptr ? *dataset.shards() : Shards(dataset.size(), ranks.size());
  return shards.share(ranks.rank(), {0, shards.samples()});
}

std::vector<ColumnStatistics> statistics_of_all(const Dataset& train, const std::vector<StatisticsRequest>& requests,
                                                std::int64_t threads, const RankContext& context) {
  std::vector<ColumnStatistics> statistics;
  if (requests.empty()) return statistics;
  set_up_phase(context.host,
               [&] { statistics = compute_statistics(train, requests, share_of(train, context.host), threads); });
  for (ColumnStatistics& own : statistics) {
    const std::vector<std::string> all = context.host.all_gather(own.bytes());
    set_up_phase(context.host, [&] {
      for (std::size_t rank = 0; rank < all.size(); ++rank) {
        if (static_cast<int>(rank) != context.host.rank()) own.merge_bytes(all[rank]);
      }
    });
  }
  return statistics;
}

// Which integers the samples have that are held back of the training channel: they may be values of their own.
void add_values_held_back(const Dataset& held_back, std::vector<StatisticsRequest> requests,
                          std::vector<ColumnStatistics>& statistics, std::int64_t threads, const RankContext& context) {
  std::vector<ColumnStatistics*> added;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].moments = false;
    if (requests[i].values) added.push_back(&statistics[i]);
  }
  std::erase_if(requests, [](const StatisticsRequest& request) { return !request.values; });
  const std::vector<ColumnStatistics> found = statistics_of_all(held_back, requests, threads, context);
  set_up_phase(context.host, [&] {
    for (std::size_t i = 0; i < found.size(); ++i) added[i]->merge_values(found[i]);
  });
}

// Makes the fields of this rank's share of the samples that can turn out not to become them, but for those that are too
// many to be looked at.
void try_fields(const Dataset& made, const std::vector<FieldRecipe>& recipes, bool training,
                const Communicator& ranks) {
  std::vector<std::size_t> tried;
  for (const FieldRecipe& recipe : recipes) {
    const std::size_t field = *made.spec().find(recipe.field.name);
    if (!made.spec().fields[field].large && recipe.may_refuse(training)) tried.push_back(field);
  }
  if (tried.empty()) return;
  read_slice(made, tried, share_of(made, ranks), [](std::int64_t, std::int64_t, std::span<std::byte* const>) {});
}

// For what a channel has: one of which only outputs are asked for need not have targets and weights.
std::vector<FieldRecipe> recipes_for(const SampleSpec& spec, std::vector<FieldRecipe> recipes, bool only_predicted) {
  const auto is_there = [&](const FieldRecipe::Piece& piece) { return spec.find(piece.stored.name).has_value(); };
  std::erase_if(recipes, [&](const FieldRecipe& recipe) {
    return only_predicted && (recipe.field.name == kTargetColumn || recipe.field.name == kWeightColumn) &&
           std::ranges::none_of(recipe.pieces, is_there);
  });
  return recipes;
}

}  // namespace

void hold_back(Channels& channels, JobData& data, const Hyperparameters& hyperparameters, const RankContext& context) {
  const double share = hyperparameters.validation_share;
  if (share == 0) return;
  set_up_phase(context.host, [&] {
    if (channels.contains(kHeldBackChannel)) {
      throw InputError("validation_share is for a job without a channel named validation; leave one of them out");
    }
    const OpenedChannel all = channels.at(data.train);
    const auto part = [&](HeldBackDataset::Part which) {
      OpenedChannel channel = all;
      channel.dataset = std::make_shared<HeldBackDataset>(all.dataset, hyperparameters.seed, share, which);
      if (samples_of(*channel.dataset) > 0) return channel;
      throw InputError(format("validation_share=%g of %s samples leaves none to ", share,
                              with_commas(samples_of(*all.dataset)).c_str()) +
                       (which == HeldBackDataset::Part::kRest ? "train on" : "validate on"));
    };
    channels[kHeldBackChannel] = part(HeldBackDataset::Part::kHeldBack);
    channels[data.train] = part(HeldBackDataset::Part::kRest);
    // What was evaluated for want of another is a test again.
    if (data.test.empty()) data.test = data.evaluation;
    data.evaluation = kHeldBackChannel;
  });
}

void describe_fields(Channels& channels, JobData& data, const Hyperparameters& hyperparameters,
                     const RankContext& context) {
  const FieldDescriptions& fields = hyperparameters.fields;
  if (fields.empty()) return;
  const std::shared_ptr<const Dataset> train = channels.at(data.train).dataset;
  std::vector<StatisticsRequest> requests;
  set_up_phase(context.host, [&] {
    try {
      requests = statistics_requests(fields, train->spec());
    } catch (const InputError& error) {
      throw InputError("channel " + data.train + ": " + error.what());
    }
  });
  const std::int64_t threads = hyperparameters.loader_threads;
  std::vector<ColumnStatistics> statistics = statistics_of_all(*train, requests, threads, context);
  if (hyperparameters.validation_share > 0) {
    add_values_held_back(*channels.at(kHeldBackChannel).dataset, requests, statistics, threads, context);
  }
  set_up_phase(context.host, [&] {
    const std::vector<FieldRecipe> recipes = make_recipes(fields, train->spec(), requests, statistics);
    data.fields = write_recipes(recipes);
    for (auto& [name, channel] : channels) {
      try {
        const bool only_predicted = name != data.train && name != data.evaluation && name != data.test;
        const std::vector<FieldRecipe> own = recipes_for(channel.dataset->spec(), recipes, only_predicted);
        channel.dataset = std::make_shared<FieldsDataset>(channel.dataset, own);
        const bool training = name == data.train || (name == kHeldBackChannel && hyperparameters.validation_share > 0);
        try_fields(*channel.dataset, own, training, context.host);
      } catch (const InputError& error) {
        throw InputError("channel " + name + ": " + error.what());
      }
    }
  });
}

}  // namespace lockstep
