// attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0.0, bool is_causal=False,
//           *, float? scale=None, bool enable_gqa=False) -> Tensor
//   aten::scaled_dot_product_attention. With dropout PyTorch keeps three numbers for each pair of a query and a key on
//   CPUs. Here scores of some heads at a time are computed, and once more in backward: none is kept. Of bfloat16 and
//   float16 they are float32, as PyTorch's are.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/ops/_safe_softmax.h>
#include <ATen/ops/_softmax_backward_data.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <vector>

#include "common/SplitMix.h"
#include "engine/program/MultiplyAdds.h"
#include "engine/program/OperatorTraits.h"
#include "engine/program/operators/Elements.h"
#include "engine/program/operators/Registration.h"

namespace lockstep {

namespace {

const OperatorRegistration kAttentionRow(
    "lockstep.attention", {.sharing = Sharing::kNever,
                           .random = true,
                           .again = Again::kDear,
                           .inference = InferenceForm{.argument = "dropout_p", .value = 0.0, .in_training_too = true},
                           .multiply_adds = multiply_adds_of_attention});

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr std::int64_t kScoreBytes = 2 << 20;  // of scores at once: as many as stay in a processor's cache

// Some samples, and of these some heads.
struct Part {
  std::int64_t sample, samples, head, heads;

  at::Tensor of(const at::Tensor& tensor) const { return tensor.narrow(0, sample, samples).narrow(1, head, heads); }
  // To compute with.
  at::Tensor wide(const at::Tensor& tensor) const { return of(tensor).to(arithmetic_type(tensor.scalar_type())); }
};

struct Attended {
  at::Tensor probabilities;
  at::Tensor kept;  ///< 1, or 0 where one is dropped
};

struct Scores {
  at::Tensor query;  ///< [samples, heads, queries, width]
  at::Tensor key;    ///< [samples, heads, keys, width]
  at::Tensor added;  ///< to them, [samples, heads, queries, keys]: -∞ where a key is not seen; undefined: 0
  bool blind;        ///< there may be a query that sees no key
  double scale;
  double dropout;
  std::uint64_t seed;

  std::vector<Part> parts() const {
    const std::int64_t samples = query.size(0);
    const std::int64_t heads = query.size(1);
    const auto element = static_cast<std::int64_t>(c10::elementSize(arithmetic_type(query.scalar_type())));
    const std::int64_t bytes = query.size(2) * key.size(2) * element;
    const auto at_once = [](std::int64_t of) {
      return std::max<std::int64_t>(kScoreBytes / std::max<std::int64_t>(of, 1), 1);
    };
    const std::int64_t most_samples = at_once(bytes * heads);
    const std::int64_t most_heads = at_once(bytes);
    std::vector<Part> all;
    for (std::int64_t sample = 0; sample < samples; sample += most_samples) {
      for (std::int64_t head = 0; head < heads; head += most_heads) {
        all.push_back({sample, std::min(most_samples, samples - sample), head, std::min(most_heads, heads - head)});
      }
    }
    return all;
  }

  // The same for the same part and seed.
  Attended attended(const Part& part) const {
    const at::Tensor scores = at::matmul(part.wide(query), part.wide(key).transpose(-2, -1)).mul_(scale);
    if (added.defined()) scores.add_(part.wide(added));
    const at::Tensor probabilities = blind ? at::_safe_softmax(scores, -1) : at::softmax(scores, -1);
    const at::Tensor kept = at::empty(probabilities.sizes(), probabilities.options());
    const auto first =
        seed + static_cast<std::uint64_t>((part.sample * query.size(1) + part.head) * query.size(2) * key.size(2));
    if (kept.scalar_type() == at::kDouble) {
      keep_some(kept.mutable_data_ptr<double>(), kept.numel(), first);
    } else {
      keep_some(kept.mutable_data_ptr<float>(), kept.numel(), first);
    }
    return {probabilities, kept};
  }

  // By the place of each among all scores: neither parts nor threads show.
  template <typename Real>
  void keep_some(Real* kept, std::int64_t count, std::uint64_t first) const {
    const auto bound = static_cast<std::uint64_t>(std::ldexp(dropout, 64));
    at::parallel_for(0, count, at::internal::GRAIN_SIZE, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        kept[i] = splitmix(first + static_cast<std::uint64_t>(i)) >= bound ? 1 : 0;
      }
    });
  }
};

Scores scores_of(const at::Tensor& query, const at::Tensor& key, const at::Tensor& mask, bool causal, double scale,
                 double dropout, std::uint64_t seed) {
  const std::int64_t queries = query.size(2);
  const std::int64_t keys = key.size(2);
  at::Tensor added = causal ? at::ones({queries, keys}, at::kBool).tril() : mask;
  if (added.defined() && added.scalar_type() == at::kBool) {
    constexpr double kUnseen = -std::numeric_limits<double>::infinity();
    added = at::zeros(added.sizes(), query.options().dtype(arithmetic_type(query.scalar_type())))
                .masked_fill_(added.logical_not(), kUnseen);
  }
  if (added.defined()) added = added.expand({query.size(0), query.size(1), queries, keys});
  return {query, key, added, mask.defined(), scale, dropout, seed};
}

std::uint64_t draw_seed() {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard lock(generator.mutex());
  return at::check_generator<at::CPUGeneratorImpl>(generator)->random64();
}

struct Attention : public torch::autograd::Function<Attention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& query, const at::Tensor& key,
                            const at::Tensor& value, const std::optional<at::Tensor>& given_mask, double dropout,
                            bool causal, double scale) {
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    const at::Tensor mask = given_mask.value_or(at::Tensor());
    const std::uint64_t seed = draw_seed();
    const Scores scores = scores_of(query, key, mask, causal, scale, dropout, seed);
    at::Tensor output = at::empty({query.size(0), query.size(1), query.size(2), value.size(3)}, query.options());
    for (const Part& part : scores.parts()) {
      const auto [probabilities, kept] = scores.attended(part);
      part.of(output).copy_(at::matmul(probabilities.mul_(kept), part.wide(value)).div_(1 - dropout));
    }
    context->save_for_backward({query, key, value, mask});
    context->saved_data["dropout"] = dropout;
    context->saved_data["causal"] = causal;
    context->saved_data["scale"] = scale;
    context->saved_data["seed"] = static_cast<std::int64_t>(seed);
    return output;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& query = saved[0];
    const at::Tensor& key = saved[1];
    const at::Tensor& value = saved[2];
    const double dropout = context->saved_data["dropout"].toDouble();
    const double scale = context->saved_data["scale"].toDouble();
    const Scores scores = scores_of(query, key, saved[3], context->saved_data["causal"].toBool(), scale, dropout,
                                    static_cast<std::uint64_t>(context->saved_data["seed"].toInt()));
    const at::Tensor dquery = at::empty_like(query);
    const at::Tensor dkey = at::empty_like(key);
    const at::Tensor dvalue = at::empty_like(value);
    for (const Part& part : scores.parts()) {
      const auto [probabilities, kept] = scores.attended(part);
      const at::Tensor doutput = part.wide(gradients[0]).div(1 - dropout);
      part.of(dvalue).copy_(at::matmul(probabilities.mul(kept).transpose(-2, -1), doutput));
      const at::Tensor dprobabilities = at::matmul(doutput, part.wide(value).transpose(-2, -1)).mul_(kept);
      const at::Tensor dscores =
          at::_softmax_backward_data(dprobabilities, probabilities, -1, probabilities.scalar_type()).mul_(scale);
      part.of(dquery).copy_(at::matmul(dscores, part.wide(key)));
      part.of(dkey).copy_(at::matmul(dscores.transpose(-2, -1), part.wide(query)));
    }
    return {dquery, dkey, dvalue, {}, {}, {}, {}};
  }
};

// What this computes itself; the rest is PyTorch's. Without dropout PyTorch keeps no scores either.
bool is_computed_here(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                      const std::optional<at::Tensor>& mask, double dropout, bool causal, bool grouped) {
  const at::ScalarType type = query.scalar_type();
  const auto fits = [&](const at::Tensor& tensor) {
    return tensor.is_cpu() && tensor.dim() == 4 && tensor.scalar_type() == type && tensor.size(0) == query.size(0) &&
           tensor.size(1) == query.size(1);
  };
  const bool masked = mask && mask->defined();
  return dropout > 0 && dropout < 1 && query.is_floating_point() && query.dim() == 4 && fits(query) && fits(key) &&
         fits(value) && query.size(3) == key.size(3) && key.size(2) == value.size(2) && !grouped &&
         (type != at::kFloat || !at::autocast::is_autocast_enabled(at::kCPU)) &&
         (!masked ||
          (!causal && !mask->requires_grad() && (mask->scalar_type() == at::kBool || mask->scalar_type() == type)));
}

at::Tensor attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                     const std::optional<at::Tensor>& mask, double dropout, bool causal, std::optional<double> scale,
                     bool grouped) {
  if (!is_computed_here(query, key, value, mask, dropout, causal, grouped)) {
    return at::scaled_dot_product_attention(query, key, value, mask, dropout, causal, scale, grouped);
  }
  return Attention::apply(query, key, value, mask, dropout, causal,
                          scale.value_or(1 / std::sqrt(static_cast<double>(query.size(3)))));
}

}  // namespace

void register_attention(torch::Library& library) {
  library.def(
      "attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0.0, bool "
      "is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor",
      &attention);
}

}  // namespace lockstep
