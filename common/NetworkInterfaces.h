// The network interfaces of this machine.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace lockstep {

/// An internet address of an interface; an interface has one entry for each.
struct NetworkInterface {
  std::string name;     ///< `eth0`
  std::string address;  ///< as text, IPv4 or IPv6
  bool ipv4 = true;
  bool up = false;
};

/// Those with an internet address, loopback among them. Nothing where the system does not tell.
std::optional<std::vector<NetworkInterface>> network_interfaces();

}  // namespace lockstep
