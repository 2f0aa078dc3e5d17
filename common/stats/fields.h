#ifndef MELLOW_COMMON_STATS_FIELDS_H_
#define MELLOW_COMMON_STATS_FIELDS_H_

// The fields of the structs that others keep in files: see common/json/struct_json.h.

#include "common/stats/bootstrap.h"
#include "common/stats/wilson.h"

namespace mellow::stats {

template <typename F>
void Fields(F& f, MeanInterval& x) {
  f("mean", x.mean);
  f("lower", x.lower);
  f("upper", x.upper);
}
template <typename F>
void Fields(F& f, Proportion& x) {
  f("rate", x.rate);
  f("lower", x.lower);
  f("upper", x.upper);
  f("successes", x.successes);
  f("trials", x.trials);
}

}  // namespace mellow::stats

#endif  // MELLOW_COMMON_STATS_FIELDS_H_
