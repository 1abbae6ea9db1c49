#include "engine/artifacts/onnx/OnnxNames.h"

namespace lockstep {

const std::map<primitive::Unary::Kind, std::string>& onnx_unaries() {
  using Kind = primitive::Unary::Kind;
  static const std::map<Kind, std::string> names = {{Kind::kNegative, "Neg"},      {Kind::kAbsolute, "Abs"},
                                                    {Kind::kSign, "Sign"},         {Kind::kReciprocal, "Reciprocal"},
                                                    {Kind::kExp, "Exp"},           {Kind::kLog, "Log"},
                                                    {Kind::kSqrt, "Sqrt"},         {Kind::kSin, "Sin"},
                                                    {Kind::kCos, "Cos"},           {Kind::kErf, "Erf"},
                                                    {Kind::kTanh, "Tanh"},         {Kind::kSigmoid, "Sigmoid"},
                                                    {Kind::kRelu, "Relu"},         {Kind::kFloor, "Floor"},
                                                    {Kind::kSoftplus, "Softplus"}, {Kind::kCeil, "Ceil"},
                                                    {Kind::kRound, "Round"},       {Kind::kNot, "Not"},
                                                    {Kind::kIsNan, "IsNaN"}};
  return names;
}

const std::map<primitive::Binary::Kind, std::string>& onnx_binaries() {
  using Kind = primitive::Binary::Kind;
  static const std::map<Kind, std::string> names = {
      {Kind::kAdd, "Add"},     {Kind::kSubtract, "Sub"}, {Kind::kMultiply, "Mul"},         {Kind::kPower, "Pow"},
      {Kind::kMaximum, "Max"}, {Kind::kMinimum, "Min"},  {Kind::kEqual, "Equal"},          {Kind::kLess, "Less"},
      {Kind::kAnd, "And"},     {Kind::kOr, "Or"},        {Kind::kLessEqual, "LessOrEqual"}};
  return names;
}

const std::map<primitive::Reduce::Kind, std::string>& onnx_reductions() {
  using Kind = primitive::Reduce::Kind;
  static const std::map<Kind, std::string> names = {{Kind::kSum, "ReduceSum"},
                                                    {Kind::kMean, "ReduceMean"},
                                                    {Kind::kMax, "ReduceMax"},
                                                    {Kind::kMin, "ReduceMin"},
                                                    {Kind::kProduct, "ReduceProd"}};
  return names;
}

}  // namespace lockstep
