// An expectation on what an error says.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

/// Expects `statement` to throw `type` with all the given texts in its message.
#define EXPECT_ERROR(statement, type, ...)                                            \
  try {                                                                               \
    statement;                                                                        \
    ADD_FAILURE() << "no " #type " was thrown";                                       \
  } catch (const type& error) {                                                       \
    for (const std::string& text : std::initializer_list<std::string>{__VA_ARGS__}) { \
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos)              \
          << "message: " << error.what() << "\nlacks: " << text;                      \
    }                                                                                 \
  }
