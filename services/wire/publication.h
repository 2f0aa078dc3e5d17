#ifndef MELLOW_SERVICES_WIRE_PUBLICATION_H_
#define MELLOW_SERVICES_WIRE_PUBLICATION_H_

namespace mellow::wire {

// What an adapter is published to a policy node as.
enum class Publication {
  kNewest,     // one of the newest versions, and the newest as soon as its version is the largest
  kCandidate,  // answers who names its version, until a few others are: for a canary, for looking
  kChampion,   // what users get; kept whatever its version is, until another is the champion
  kReference,  // answers who names its version, until another is the reference: for a run's KL
};

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_PUBLICATION_H_
