#ifndef MELLOW_SERVICES_WIRE_PARSE_ERROR_H_
#define MELLOW_SERVICES_WIRE_PARSE_ERROR_H_

#include <string>

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace mellow::wire {

// One line about a command line that `app` did not take: the argument that nobody knows, with the
// nearest flag or command that there is, or else what CLI11 says.
[[nodiscard]] std::string ExplainParseError(const CLI::App& app, const CLI::ParseError& error);

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_PARSE_ERROR_H_
