// What the headers of the library begin and end with.
#pragma once

/// What programs may call.
#define LOCKSTEP_API __attribute__((visibility("default")))

/// The names are `lockstep::Trainer` and so on, whatever the version. Lockstep's own sources have names of their own in
/// the same namespace: for them the version's is not inline.
#ifdef LOCKSTEP_LIBRARY_SOURCE
#define LOCKSTEP_NAMESPACE_BEGIN \
  namespace lockstep {           \
  namespace v1 {
#else
#define LOCKSTEP_NAMESPACE_BEGIN \
  namespace lockstep {           \
  inline namespace v1 {
#endif
#define LOCKSTEP_NAMESPACE_END \
  }                            \
  }
