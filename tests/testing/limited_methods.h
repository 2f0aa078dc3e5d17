#ifndef MELLOW_TESTS_TESTING_LIMITED_METHODS_H_
#define MELLOW_TESTS_TESTING_LIMITED_METHODS_H_

#include <string>
#include <vector>

namespace grpc {
class Service;
}

namespace mellow::testing {

// Serves `service` and calls each of its methods with an empty message, after a first call that
// uses up the limits of this client: which methods are neither refused for them nor unimplemented
// ("METHOD: CODE"). The limiter of `service` lets one call through: {.rate = 1e-6}.
[[nodiscard]] std::vector<std::string> MethodsWithoutLimits(grpc::Service* service,
                                                            const std::string& full_name);

}  // namespace mellow::testing

#endif  // MELLOW_TESTS_TESTING_LIMITED_METHODS_H_
