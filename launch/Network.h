// This host's network interfaces.
#pragma once

#include <string>

namespace lockstep {

/// The interface that other hosts are reached through: `configured` when this host has it with an IPv4 address, else
/// the one that has `address`, this host's own address of a connection to another host. "" when there is none.
std::string choose_interface(const std::string& configured, const std::string& address);

}  // namespace lockstep
