#ifndef MELLOW_TESTS_TESTING_LIMITED_METHODS_H_
#define MELLOW_TESTS_TESTING_LIMITED_METHODS_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/rpc/call_limiter.h"

namespace grpc {
class Service;
}

namespace mellow::testing {

// Serves what `make` gives for a limiter, and calls each method of the service twice: with an empty
// message, after a first call that used up the limits of this client, and with a message that is
// larger than its limit. Which are neither refused for that, with method, size and limit, nor
// unimplemented ("METHOD: CODE MESSAGE").
[[nodiscard]] std::vector<std::string> MethodsWithoutLimits(
    const std::function<std::unique_ptr<grpc::Service>(rpc::CallLimiter*)>& make,
    const std::string& full_name);

}  // namespace mellow::testing

#endif  // MELLOW_TESTS_TESTING_LIMITED_METHODS_H_
