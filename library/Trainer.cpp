#include "lockstep/Trainer.h"

#include <utility>

#include "common/Version.h"
#include "library/PublicErrors.h"
#include "library/StepwiseTraining.h"

LOCKSTEP_NAMESPACE_BEGIN

Error::~Error() = default;

class Trainer::Impl {
 public:
  explicit Impl(const Options& options) : training(options) {}
  StepwiseTraining training;
};

namespace {

template <typename Work>
auto guarded(StepwiseTraining& training, const Work& work) {
  return with_public_errors(training.context().host.size() == 1, [&] { return work(training); });
}

std::vector<std::string> texts_of(const std::vector<std::filesystem::path>& paths) {
  std::vector<std::string> texts;
  for (const std::filesystem::path& path : paths) texts.push_back(path.string());
  return texts;
}

}  // namespace

Trainer::Trainer(const Options& options)
    : impl_(with_public_errors(!options.communicator, [&] { return std::make_unique<Impl>(options); })) {}

Trainer::Trainer(Trainer&& other) noexcept = default;
Trainer& Trainer::operator=(Trainer&& other) noexcept = default;
Trainer::~Trainer() = default;

int Trainer::rank() const { return impl_->training.context().host.rank(); }
int Trainer::ranks() const { return impl_->training.context().host.size(); }
std::int64_t Trainer::steps() const { return impl_->training.steps(); }

StepResult Trainer::step(const Batch& batch) {
  return guarded(impl_->training, [&](StepwiseTraining& training) { return training.step(batch); });
}

std::optional<StepResult> Trainer::step() {
  return guarded(impl_->training, [](StepwiseTraining& training) { return training.step(); });
}

void Trainer::set_learning_rate(std::optional<double> learning_rate) {
  guarded(impl_->training, [&](StepwiseTraining& training) { training.set_learning_rate(learning_rate); });
}

Metrics Trainer::evaluate(const Batch& batch) {
  return guarded(impl_->training, [&](StepwiseTraining& training) { return training.evaluate(batch); });
}

Metrics Trainer::evaluate(const std::string& channel) {
  return guarded(impl_->training, [&](StepwiseTraining& training) { return training.evaluate(channel); });
}

std::vector<Array> Trainer::predict(const std::vector<ArrayView>& inputs) {
  return guarded(impl_->training, [&](StepwiseTraining& training) { return training.predict(inputs); });
}

void Trainer::predict(const std::vector<ArrayView>& inputs, const std::vector<MutableArrayView>& outputs) {
  guarded(impl_->training, [&](StepwiseTraining& training) { training.predict(inputs, outputs); });
}

std::vector<TensorInfo> Trainer::tensors() const {
  return guarded(impl_->training, [](const StepwiseTraining& training) { return training.tensors(); });
}

void Trainer::read(const std::string& name, const MutableArrayView& into) const {
  guarded(impl_->training, [&](const StepwiseTraining& training) { training.read(name, into); });
}

void Trainer::write(const std::string& name, const ArrayView& from) {
  guarded(impl_->training, [&](StepwiseTraining& training) { training.write(name, from); });
}

void Trainer::save(const std::string& directory) {
  guarded(impl_->training, [&](StepwiseTraining& training) { training.save(directory); });
}

std::optional<std::int64_t> Trainer::resume(const std::string& directory) {
  return guarded(impl_->training, [&](StepwiseTraining& training) { return training.resume(directory); });
}

std::vector<std::string> Trainer::export_model(const std::string& directory) {
  return guarded(impl_->training,
                 [&](StepwiseTraining& training) { return texts_of(training.export_model(directory)); });
}

const char* version() { return kLockstepVersion; }

LOCKSTEP_NAMESPACE_END
