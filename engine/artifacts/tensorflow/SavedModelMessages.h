// The messages of a SavedModel, from the function that it serves and back. Only for sources that include protobuf's
// headers.
#pragma once

#include <string>

#include "engine/artifacts/tensorflow/TensorflowFunction.h"
#include "engine/artifacts/tensorflow/saved_model.pb.h"

namespace lockstep {

/// The whole of `saved_model.pb`.
tensorflow::SavedModel saved_model_message(const TensorflowFunction& function);
/// What `variables/` holds beside the values: the objects of `model`, which is the function's message, with the keys of
/// their values.
tensorflow::TrackableObjectGraph checkpoint_objects(const TensorflowFunction& function,
                                                    const tensorflow::SavedModel& model);
/// What the message says of its function. The function's own message may hold more, which is the caller's to compare.
/// Throws InputError for a message that is none of a function.
TensorflowFunction function_of_message(const tensorflow::SavedModel& model);

/// The key of a variable's value in `variables/`.
std::string checkpoint_key(const TensorflowVariable& variable);

/// The bytes of a message: the same for the same message. Throws InternalError for more than 2 GiB.
std::string serialize(const google::protobuf::MessageLite& message);

}  // namespace lockstep
