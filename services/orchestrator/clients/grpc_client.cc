#include "services/orchestrator/clients/grpc_client.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/folder_lock.h"
#include "common/rpc/client.h"
#include "common/sync/mutex.h"

namespace mellow::orchestrator {
namespace {

class GrpcNodeClients : public NodeClients {
 public:
  std::shared_ptr<PolicyClient> Policy(const std::string& node_id,
                                       const std::string& address) override {
    return MakePolicyClient(Channel(address), Peer(node_id, address));
  }
  std::shared_ptr<RewardClient> Reward(const std::string& node_id,
                                       const std::string& address) override {
    return MakeRewardClient(Channel(address), Peer(node_id, address));
  }
  std::shared_ptr<LearnerClient> Learner(const std::string& node_id,
                                         const std::string& address) override {
    return MakeLearnerClient(Channel(address), Peer(node_id, address), claim_);
  }
  std::shared_ptr<SftClient> Sft(const std::string& node_id, const std::string& address) override {
    return MakeSftClient(Channel(address), Peer(node_id, address), claim_);
  }

 private:
  // Addresses come and go with their nodes; a cache that grew this large starts anew (calls keep
  // their channels).
  static constexpr size_t kMaxChannels = 8192;

  static std::string Peer(const std::string& node_id, const std::string& address) {
    return absl::StrCat(node_id, " at ", address);
  }

  std::shared_ptr<grpc::Channel> Channel(const std::string& address) {
    MutexLock lock(&mutex_);
    if (channels_.size() >= kMaxChannels) channels_.clear();
    std::shared_ptr<grpc::Channel>& channel = channels_[address];
    if (channel == nullptr) channel = rpc::MakeChannel(address);
    return channel;
  }

  Mutex mutex_;
  std::map<std::string, std::shared_ptr<grpc::Channel>> channels_ ABSL_GUARDED_BY(mutex_);
  // One for all learners: they come and go under several names on one checkpoint folder.
  const std::shared_ptr<LearnerClaim> claim_ = std::make_shared<LearnerClaim>();
};

}  // namespace

std::string OwnerName() { return absl::StrCat("the orchestrator that is ", NameOfThisProcess()); }

std::unique_ptr<NodeClients> MakeGrpcNodeClients() { return std::make_unique<GrpcNodeClients>(); }

}  // namespace mellow::orchestrator
