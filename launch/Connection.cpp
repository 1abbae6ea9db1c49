#include "launch/Connection.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "job/Json.h"

namespace lockstep {

namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

constexpr std::size_t kMaxMessage = 64 << 10;
constexpr int kSendMilliseconds = 10'000;
constexpr int kConnectMilliseconds = 2'000;

bool ready(int file, short events, int milliseconds) {
  pollfd entry{.fd = file, .events = events, .revents = 0};
  return ::poll(&entry, 1, milliseconds) > 0;
}

void set(int file, int level, int option, int value) { ::setsockopt(file, level, option, &value, sizeof value); }

// Whoever is silent for 4 s is asked, three times; what is sent must be taken within 10 s. No effect on local sockets.
void notice_a_lost_peer(int file) {
  set(file, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(file, IPPROTO_TCP, TCP_KEEPIDLE, 4);
  set(file, IPPROTO_TCP, TCP_KEEPINTVL, 2);
  set(file, IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(file, IPPROTO_TCP, TCP_USER_TIMEOUT, 10'000);
  set(file, IPPROTO_TCP, TCP_NODELAY, 1);
}

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

Addresses resolve(const std::string& host, const char* port) {
  addrinfo hints{};
  hints.ai_family = AF_INET;  // OpenMPI's own connections are
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), port, &hints, &found) != 0) found = nullptr;
  return {found, &::freeaddrinfo};
}

std::string text_of(const sockaddr_in& address) {
  char text[INET_ADDRSTRLEN] = {};
  ::inet_ntop(AF_INET, &address.sin_addr, text, sizeof text);
  return text;
}

sockaddr_un local_address(const std::string& name, socklen_t& length) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (name.size() + 1 > sizeof address.sun_path) throw InternalError("a local socket's name is too long: " + name);
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return address;
}

}  // namespace

Connection::Connection(FileDescriptor socket, std::string peer) : socket_(std::move(socket)), peer_(std::move(peer)) {
  ::fcntl(socket_.get(), F_SETFL, O_NONBLOCK);
  notice_a_lost_peer(socket_.get());
}

std::string Connection::own_address() const {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  const bool known = ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0;
  return known && address.sin_family == AF_INET ? text_of(address) : "";
}

void Connection::send(const json& message) {
  const std::string line = message.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  for (std::size_t sent = 0; sent < line.size();) {
    const ssize_t count = ::send(socket_.get(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (count > 0) {
      sent += static_cast<std::size_t>(count);
    } else if (errno != EINTR && (errno != EAGAIN || !ready(socket_.get(), POLLOUT, kSendMilliseconds))) {
      closed_ = true;
      return;
    }
  }
}

std::vector<json> Connection::receive() {
  std::vector<json> messages = std::exchange(early_, {});
  char buffer[4096];
  for (std::size_t taken = 0; !closed_ && taken < kMaxMessage;) {
    const ssize_t count = ::recv(socket_.get(), buffer, sizeof buffer, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) break;
    if (count <= 0) {
      closed_ = true;
      break;
    }
    taken += static_cast<std::size_t>(count);
    partial_.append(buffer, static_cast<std::size_t>(count));
    for (std::size_t end; (end = partial_.find('\n')) != std::string::npos; partial_.erase(0, end + 1)) {
      json message;
      try {
        message = parse_json(std::string_view(partial_).substr(0, end), "a message");
      } catch (const InputError&) {  // no host of ours: what it sends is not answered
      }
      if (!message.is_object()) {
        closed_ = true;
        return messages;
      }
      messages.push_back(std::move(message));
    }
    if (partial_.size() > kMaxMessage) closed_ = true;
  }
  return messages;
}

std::optional<json> Connection::wait_until(Clock::time_point deadline) {
  for (;;) {
    std::vector<json> messages = receive();
    if (!messages.empty()) {
      early_.assign(std::make_move_iterator(messages.begin() + 1), std::make_move_iterator(messages.end()));
      return std::move(messages.front());
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (closed_ || left <= 0) return std::nullopt;
    ready(socket_.get(), POLLIN, static_cast<int>(left) + 1);
  }
}

FileDescriptor listen_on_port(int port) {
  FileDescriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  set(listener.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  if (!listener || ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener.get(), SOMAXCONN) != 0) {
    throw InputError(with_errno("cannot listen on port " + std::to_string(port)) +
                     "; another job may run here: give both of them another port");
  }
  return listener;
}

std::optional<Accepted> accept_on(const FileDescriptor& listener) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  const int file = ::accept4(listener.get(), reinterpret_cast<sockaddr*>(&address), &length, SOCK_CLOEXEC);
  if (file < 0) return std::nullopt;
  return Accepted{FileDescriptor(file), address.sin_family == AF_INET ? text_of(address) : ""};
}

std::optional<FileDescriptor> connect_to_port(const std::string& host, int port) {
  const Addresses addresses = resolve(host, std::to_string(port).c_str());
  for (const addrinfo* entry = addresses.get(); entry != nullptr; entry = entry->ai_next) {
    FileDescriptor socket(::socket(entry->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) continue;
    int error = ::connect(socket.get(), entry->ai_addr, entry->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS && ready(socket.get(), POLLOUT, kConnectMilliseconds)) {
      socklen_t length = sizeof error;
      ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    }
    if (error == 0) return socket;
  }
  return std::nullopt;
}

std::vector<std::string> addresses_of(const std::string& host) {
  std::vector<std::string> found;
  const Addresses addresses = resolve(host, nullptr);
  for (const addrinfo* entry = addresses.get(); entry != nullptr; entry = entry->ai_next) {
    found.push_back(text_of(*reinterpret_cast<const sockaddr_in*>(entry->ai_addr)));
  }
  return found;
}

std::string random_name() {
  std::uint64_t bits = 0;
  if (::getrandom(&bits, sizeof bits, 0) != sizeof bits) throw SystemError(with_errno("cannot draw a random number"));
  return format("%016llx", static_cast<unsigned long long>(bits));
}

FileDescriptor listen_locally(const std::string& name) {
  socklen_t length = 0;
  const sockaddr_un address = local_address(name, length);
  FileDescriptor listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener || ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0 ||
      ::listen(listener.get(), SOMAXCONN) != 0) {
    throw SystemError(with_errno("cannot make the local socket " + name));
  }
  return listener;
}

FileDescriptor connect_locally(const std::string& name) {
  socklen_t length = 0;
  const sockaddr_un address = local_address(name, length);
  FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    throw SystemError(with_errno("cannot reach this host's launcher"));
  }
  return socket;
}

bool is_own(const FileDescriptor& socket) {
  ucred peer{};
  socklen_t length = sizeof peer;
  return ::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.uid == ::geteuid();
}

}  // namespace lockstep
