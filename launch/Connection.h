// Messages between the launchers of a job's hosts, over TCP, and between a launcher and its helpers, over a local
// socket.
#pragma once

#include <chrono>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "common/Error.h"
#include "common/File.h"
#include "job/Json.h"

namespace lockstep {

/// One end of a stream of messages, each a JSON object on a line of its own, at most 64 KiB. A peer that vanishes
/// without a word (a cut link, a machine that is gone) counts as closed after about ten seconds, also when nobody
/// speaks.
class Connection {
 public:
  /// Takes a connected socket. `peer`: its name in errors.
  Connection(FileDescriptor socket, std::string peer);

  int file() const { return socket_.get(); }
  const std::string& peer() const { return peer_; }
  /// This end's IPv4 address; "" for a local socket.
  std::string own_address() const;
  /// A peer that does not take it counts as closed.
  void send(const nlohmann::json& message);
  /// Messages that have come; does not wait, nor stay with a peer that never pauses.
  std::vector<nlohmann::json> receive();
  /// The next message, or nothing at the deadline or when the connection is closed.
  std::optional<nlohmann::json> wait_until(std::chrono::steady_clock::time_point deadline);
  /// Nothing more will come: the other end has closed, broken off or sent something that is no message.
  bool closed() const { return closed_; }

 private:
  FileDescriptor socket_;
  std::string peer_;
  std::string partial_;
  std::vector<nlohmann::json> early_;  ///< came with an earlier one
  bool closed_ = false;
};

/// What a message says under `key`, or `otherwise` when it says nothing or something of another type.
template <typename Value>
Value field(const nlohmann::json& message, const char* key, Value otherwise) {
  try {
    const nlohmann::json& value = message.at(key);
    if constexpr (std::is_same_v<Value, int>) {
      return static_cast<int>(read_int(value, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()));
    } else {
      return value.get<Value>();
    }
  } catch (const nlohmann::json::exception&) {
    return otherwise;
  } catch (const InputError&) {
    return otherwise;
  }
}

/// What a message says under "code" of why a host fails; kExitInternal when it says none such.
inline ExitCode failure_code(const nlohmann::json& message) {
  const int code = field(message, "code", 0);
  return code > 0 && code < 256 ? static_cast<ExitCode>(code) : kExitInternal;
}

/// A listening socket on all addresses. Throws InputError when the port is taken.
FileDescriptor listen_on_port(int port);
/// A connected socket, and the peer's address; nothing when nobody is waiting.
struct Accepted {
  FileDescriptor socket;
  std::string address;
};
std::optional<Accepted> accept_on(const FileDescriptor& listener);
/// One attempt; nothing when the name does not resolve or nobody answers.
std::optional<FileDescriptor> connect_to_port(const std::string& host, int port);
/// The addresses that a name resolves to now.
std::vector<std::string> addresses_of(const std::string& host);

/// A name that nobody else chooses.
std::string random_name();

/// The same over a local socket, whose name is in the abstract name space: it goes with its last user, and anybody on
/// the machine may connect.
FileDescriptor listen_locally(const std::string& name);
FileDescriptor connect_locally(const std::string& name);
/// Whether the other end of a local socket is a process of this user.
bool is_own(const FileDescriptor& socket);

}  // namespace lockstep
