#include "engine/collectives/PeerWatch.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <utility>

#include "common/Error.h"
#include "common/NetworkInterfaces.h"
#include "common/Text.h"

namespace lockstep {

namespace {

using Clock = std::chrono::steady_clock;

// What a connection carries: first who it is, and rank 0's answer; then beats; then, before its end, one of the rest.
constexpr char kWelcome = 'w';
constexpr char kBeat = 'b';    // then a line
constexpr char kLeave = 'l';   // all is done
constexpr char kReason = 'r';  // then the exit code as a byte, then why the job ends
constexpr std::size_t kMaxMessage = 4096;
constexpr std::size_t kTokenDigits = 32;
constexpr std::size_t kRankDigits = 8;
constexpr std::size_t kStrangers = 64;  // at once, beside the ranks

std::string random_token() {
  std::array<unsigned char, kTokenDigits / 2> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    throw SystemError(with_errno("cannot draw a random token"));
  }
  std::string text;
  for (const unsigned char byte : bytes) text += format("%02x", byte);
  return text;
}

FileDescriptor new_socket() { return FileDescriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }

void set(int socket, int level, int option, int value) { ::setsockopt(socket, level, option, &value, sizeof value); }

// So that the end of a host, or of the way to it, is the end of the connection.
void notice_silence(int socket) {
  constexpr int kIdle = 5;
  constexpr int kBetween = 2;
  constexpr auto kAll = static_cast<int>(PeerWatch::kSilence.count());
  set(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(socket, IPPROTO_TCP, TCP_KEEPIDLE, kIdle);
  set(socket, IPPROTO_TCP, TCP_KEEPINTVL, kBetween);
  set(socket, IPPROTO_TCP, TCP_KEEPCNT, (kAll - kIdle) / kBetween);
  set(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, kAll * 1000);
}

int milliseconds_to(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::max<std::int64_t>(left, 0));
}

std::vector<std::string> own_addresses() {
  std::vector<std::string> all;
  for (const NetworkInterface& each : network_interfaces().value_or(std::vector<NetworkInterface>())) {
    if (each.ipv4 && each.up) all.push_back(each.address);
  }
  return all;
}

// On all interfaces, at a port that the system chooses. Nothing where there are no sockets to be had.
std::optional<std::pair<FileDescriptor, int>> listen_anywhere() {
  FileDescriptor listener = new_socket();
  sockaddr_in address{};
  address.sin_family = AF_INET;
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (!listener || ::bind(listener.get(), generic, length) != 0 || ::listen(listener.get(), SOMAXCONN) != 0 ||
      ::getsockname(listener.get(), generic, &length) != 0) {
    return std::nullopt;
  }
  return std::pair(std::move(listener), static_cast<int>(ntohs(address.sin_port)));
}

// Tries all addresses at once: of a host's many, some lead nowhere, or to somebody else's port.
FileDescriptor connect_to(const std::vector<std::string>& addresses, int port, const std::string& greeting,
                          Clock::time_point deadline) {
  struct Attempt {
    FileDescriptor socket;
    bool greeted = false;
  };
  std::vector<Attempt> attempts;
  for (const std::string& text : addresses) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    FileDescriptor socket = new_socket();
    if (!socket || ::inet_pton(AF_INET, text.c_str(), &address.sin_addr) != 1) continue;
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
        errno != EINPROGRESS) {
      continue;
    }
    attempts.push_back({.socket = std::move(socket)});
  }
  while (!attempts.empty() && milliseconds_to(deadline) > 0) {
    std::vector<pollfd> entries;
    for (const Attempt& attempt : attempts) {
      entries.push_back(
          {.fd = attempt.socket.get(), .events = static_cast<short>(attempt.greeted ? POLLIN : POLLOUT), .revents = 0});
    }
    ::poll(entries.data(), entries.size(), milliseconds_to(deadline));
    for (std::size_t i = entries.size(); i-- > 0;) {
      if (entries[i].revents == 0) continue;
      Attempt& attempt = attempts[i];
      if (!attempt.greeted) {
        attempt.greeted = ::send(attempt.socket.get(), greeting.data(), greeting.size(), MSG_NOSIGNAL) ==
                          static_cast<ssize_t>(greeting.size());
        if (attempt.greeted) continue;
      } else if (char answer = 0; ::recv(attempt.socket.get(), &answer, 1, 0) == 1 && answer == kWelcome) {
        return std::move(attempt.socket);
      }
      attempts.erase(attempts.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  return {};
}

// One message, and no more will come. What cannot be sent need not be: the connection ends.
void say_last(int socket, std::initializer_list<char> head, const std::string& text) noexcept {
  std::array<char, kMaxMessage> message{};
  char* const end = std::ranges::copy(head, message.data()).out;
  const std::size_t length = std::min(text.size(), static_cast<std::size_t>(message.data() + message.size() - end));
  std::memcpy(end, text.data(), length);
  [[maybe_unused]] const ssize_t sent = ::send(socket, message.data(), head.size() + length, MSG_NOSIGNAL);
  ::shutdown(socket, SHUT_WR);
}

}  // namespace

PeerWatch::PeerWatch(Communicator& communicator, std::string host, Lost lost, std::chrono::milliseconds deadline)
    : PeerWatch(communicator, std::move(host), std::move(lost), {}, deadline) {}

PeerWatch::PeerWatch(Communicator& communicator, std::string host, Lost lost, Beats beats,
                     std::chrono::milliseconds deadline)
    : rank_(communicator.rank()), lost_(std::move(lost)), beats_(std::move(beats)), stop_(::eventfd(0, EFD_CLOEXEC)) {
  if (!stop_) throw SystemError(with_errno("cannot make an event"));
  hosts_ = communicator.all_gather(host);
  std::optional<std::pair<FileDescriptor, int>> listener;
  std::string token;
  std::string place;  // rank 0's: token, port, addresses
  if (rank_ == 0) {
    token = random_token();
    listener = listen_anywhere();
    if (listener) place = token + " " + std::to_string(listener->second) + " " + join(own_addresses(), " ");
  }
  const std::vector<std::string> words = split(communicator.all_gather(place).front(), ' ');
  const auto until = Clock::now() + deadline;
  if (rank_ == 0) {
    if (listener) admit(listener->first, token, hosts_.size() - 1, until);
  } else if (words.size() > 2) {
    const std::string greeting = words[0] + format("%0*d", static_cast<int>(kRankDigits), rank_);
    FileDescriptor socket = connect_to({words.begin() + 2, words.end()}, std::stoi(words[1]), greeting, until);
    if (socket) peers_.push_back({.rank = 0, .socket = std::move(socket)});
  }
  // A rank may have given up while rank 0 admitted it.
  const std::vector<std::string> connected = communicator.all_gather(rank_ == 0 || !peers_.empty() ? "1" : "0");
  for (std::size_t rank = 1; rank < connected.size(); ++rank) {
    if (connected[rank] == "0") unwatched_.push_back(static_cast<int>(rank));
  }
  std::erase_if(peers_, [&](const Peer& peer) { return std::ranges::count(unwatched_, peer.rank) > 0; });
  for (const Peer& peer : peers_) notice_silence(peer.socket.get());
  thread_ = std::thread(&PeerWatch::watch, this);
}

PeerWatch::~PeerWatch() {
  constexpr std::uint64_t kOne = 1;
  [[maybe_unused]] const ssize_t written = ::write(stop_.get(), &kOne, sizeof kOne);
  thread_.join();
  for (const Peer& peer : peers_) say_last(peer.socket.get(), {kLeave}, "");
}

bool PeerWatch::tell(const std::string& reason, int exit_code) noexcept {
  bool first = false;
  std::call_once(told_, [&] {
    first = true;
    for (const Peer& peer : peers_) say_last(peer.socket.get(), {kReason, static_cast<char>(exit_code)}, reason);
  });
  return first;
}

// Rank 0: until all are there.
void PeerWatch::admit(const FileDescriptor& listener, const std::string& token, std::size_t others, Deadline deadline) {
  std::vector<Peer> newcomers;
  while (peers_.size() < others && milliseconds_to(deadline) > 0) {
    std::vector<pollfd> entries = {{.fd = listener.get(), .events = POLLIN, .revents = 0}};
    for (const Peer& newcomer : newcomers) {
      entries.push_back({.fd = newcomer.socket.get(), .events = POLLIN, .revents = 0});
    }
    ::poll(entries.data(), entries.size(), milliseconds_to(deadline));
    for (std::size_t i = newcomers.size(); i-- > 0;) {
      if (entries[i + 1].revents == 0) continue;
      Peer& newcomer = newcomers[i];
      std::array<char, kTokenDigits + kRankDigits> part{};
      const ssize_t count =
          ::recv(newcomer.socket.get(), part.data(), kTokenDigits + kRankDigits - newcomer.said.size(), 0);
      if (count > 0) newcomer.said.append(part.data(), static_cast<std::size_t>(count));
      if (count > 0 && newcomer.said.size() < kTokenDigits + kRankDigits) continue;
      if (count > 0 && newcomer.said.starts_with(token)) {
        newcomer.rank = std::atoi(newcomer.said.c_str() + kTokenDigits);
        const bool possible = newcomer.rank > 0 && std::cmp_less_equal(newcomer.rank, others);
        const bool known = std::ranges::find(peers_, newcomer.rank, &Peer::rank) != peers_.end();
        if (possible && !known && ::send(newcomer.socket.get(), &kWelcome, 1, MSG_NOSIGNAL) == 1) {
          newcomer.said.clear();
          peers_.push_back(std::move(newcomer));
        }
      }
      newcomers.erase(newcomers.begin() + static_cast<std::ptrdiff_t>(i));
    }
    while (newcomers.size() < kStrangers + 2 * others) {
      FileDescriptor socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!socket) break;
      newcomers.push_back({.socket = std::move(socket)});
    }
  }
}

void PeerWatch::watch() {
  std::vector<pollfd> entries = {{.fd = stop_.get(), .events = POLLIN, .revents = 0}};
  for (const Peer& peer : peers_) entries.push_back({.fd = peer.socket.get(), .events = POLLIN, .revents = 0});
  constexpr std::chrono::seconds kBetweenBeats(1);
  auto next = Clock::now();
  for (;;) {
    if (beats_.own && Clock::now() >= next) {
      beat();
      next = Clock::now() + kBetweenBeats;
    }
    if (::poll(entries.data(), entries.size(), beats_.own ? milliseconds_to(next) : -1) < 0) continue;  // a signal
    if (entries[0].revents != 0) return;
    for (std::size_t i = 0; i < peers_.size(); ++i) {
      if (entries[i + 1].revents == 0) continue;
      std::array<char, kMaxMessage> part{};
      const ssize_t count = ::recv(entries[i + 1].fd, part.data(), part.size(), 0);
      if (count > 0 && peers_[i].said.size() < kMaxMessage) {
        peers_[i].said.append(part.data(), static_cast<std::size_t>(count));
      }
      const int error = count < 0 ? errno : 0;
      hear_beats(peers_[i]);
      if (count > 0 || error == EAGAIN || error == EINTR) continue;
      entries[i + 1].fd = -1;  // poll passes it over
      heard_end(peers_[i], error);
    }
  }
}

// To whoever takes it: a rank that is stopped does not.
void PeerWatch::beat() {
  const std::string message = kBeat + beats_.own() + "\n";
  for (Peer& peer : peers_) {
    if (peer.unsent.empty()) peer.unsent = message;
    const ssize_t sent = ::send(peer.socket.get(), peer.unsent.data(), peer.unsent.size(), MSG_NOSIGNAL);
    if (sent > 0) peer.unsent.erase(0, static_cast<std::size_t>(sent));
  }
  if (beats_.turn) beats_.turn();
}

void PeerWatch::hear_beats(Peer& peer) {
  for (std::size_t end; peer.said.starts_with(kBeat) && (end = peer.said.find('\n')) != std::string::npos;) {
    if (beats_.heard) beats_.heard(peer.rank, peer.said.substr(1, end - 1));
    peer.said.erase(0, end + 1);
  }
}

void PeerWatch::heard_end(const Peer& peer, int error) {
  if (peer.said.starts_with(kLeave)) return;
  Loss loss{.reason = name_of(peer.rank) + " is gone: ", .exit_code = kExitRankFailed};
  if (peer.said.starts_with(kReason) && peer.said.size() > 1) {
    loss.exit_code = static_cast<unsigned char>(peer.said[1]);
    loss.reason = peer.said.substr(2);
  } else {
    const bool silent = error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH;
    loss.reason += silent ? "its host, or the network to it, does not answer"
                          : "it has ended without a word; it was killed, or its machine has run out of memory";
    if (const std::string place = beats_.last_place ? beats_.last_place(peer.rank) : ""; !place.empty()) {
      loss.reason += "; " + place;
    }
    loss.to_tell = rank_ == 0 || rank_ == 1;  // of rank 0's end the first of the others speaks
  }
  // Whoever was told ends, and is not missed. Rank 0 passes the reason on; of the others only rank 0 could be told.
  if (tell(loss.reason, loss.exit_code)) lost_(loss);
}

}  // namespace lockstep
