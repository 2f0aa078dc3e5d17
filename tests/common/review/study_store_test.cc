#include "common/review/study_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <thread>

#include "tests/common/review/study_fixture.h"

namespace mellow::review {
namespace {

using ::testing::HasSubstr;

SaveRequest MakeSave(int value, int64_t sequence, const std::string& client = "c",
                     int64_t position = 0, Question question = Question::kCoherenceFirst) {
  return {.position = position,
          .question = question,
          .answer = {.value = value, .version = {.sequence = sequence, .client = client}}};
}

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(StudyStoreTest, KeepsTheStudyAndSplitsIt) {
  StudyFile file(MakeItems(/*items=*/10, /*shared=*/2), {"Ada", "Grace"});
  const StudyInfo info = file.store->Info().value();
  EXPECT_EQ(info.name, "mini");
  EXPECT_EQ(info.baseline, "base");
  EXPECT_EQ(info.arm_sha256, "ab");
  EXPECT_EQ(info.baseline_sha256, "");
  EXPECT_EQ(info.seed, 7U);
  EXPECT_EQ(info.equal_pairs, 3);
  EXPECT_EQ(file.store->Items()->at(9).arm, "arm 9");
  EXPECT_EQ(file.store->Items()->at(9).row, 109);
  std::map<std::string, int> shown;
  for (size_t person = 0; person < 2; ++person) {
    const auto sheets = file.store->Sheets(file.Person(person));
    ASSERT_TRUE(sheets.ok()) << sheets.status();
    EXPECT_EQ(sheets->size(), 6U);
    for (size_t i = 0; i < sheets->size(); ++i) {
      const auto item = file.store->ReadItem(file.Person(person), static_cast<int64_t>(i));
      ASSERT_TRUE(item.ok()) << item.status();
      ++shown[item->dialogue];
      const std::string number = item->dialogue.substr(9);
      EXPECT_THAT((std::set<std::string>{item->first, item->second}),
                  ::testing::ElementsAre("arm " + number, "baseline " + number));
    }
  }
  EXPECT_EQ(shown.size(), 10U);
  EXPECT_EQ(std::count_if(shown.begin(), shown.end(), [](auto& s) { return s.second == 2; }), 2);
}

TEST(StudyStoreTest, ATokenOpensOnePersonsPageUntilItIsRevoked) {
  StudyFile file(MakeItems(4, 4), {"Ada", "Grace"});
  EXPECT_NE(file.Person(0), file.Person(1));
  for (const std::string& bad :
       {std::string(), std::string(32, '0'), std::string(32, 'x'), file.invitations[0].token + "0"})
    EXPECT_TRUE(absl::IsNotFound(file.store->Authenticate(bad).status())) << bad;
  const std::string old = file.invitations[0].token;
  const int64_t ada = file.Person(0);
  const Invitation renewed = file.store->Renew("Ada").value();
  EXPECT_TRUE(absl::IsNotFound(file.store->Authenticate(old).status()));
  EXPECT_EQ(file.store->Authenticate(renewed.token).value(), ada);
  ASSERT_TRUE(file.store->Revoke("Ada").ok());
  EXPECT_EQ(file.store->Authenticate(renewed.token).status(),
            file.store->Authenticate(std::string(32, '0')).status());
  EXPECT_TRUE(file.store->Annotators()->at(0).revoked);
  EXPECT_FALSE(file.store->Annotators()->at(1).revoked);
  EXPECT_TRUE(absl::IsNotFound(file.store->Revoke("Eve")));
  EXPECT_TRUE(absl::IsNotFound(file.store->Renew("Eve").status()));
}

TEST(StudyStoreTest, TheFileHoldsNoToken) {
  StudyFile file(MakeItems(4, 4), {"Ada"});
  const std::string token = file.store->Invite({{"Grace"}}).value()[0].token;
  ASSERT_TRUE(file.store->Authenticate(token).ok());
  file.store.reset();  // the WAL is in the file now
  const std::string bytes = ReadAll(file.path());
  EXPECT_THAT(bytes, HasSubstr("Grace"));
  EXPECT_EQ(bytes.find(token), std::string::npos);
  EXPECT_EQ(bytes.find(file.invitations[0].token), std::string::npos);
}

TEST(StudyStoreTest, TheNewerAnswerStaysInWhateverOrderTheyCome) {
  StudyFile file(MakeItems(3, 3), {"Ada"});
  const int64_t ada = file.Person(0);
  std::vector<SaveRequest> saves = {MakeSave(1, 10), MakeSave(2, 20, "a"), MakeSave(3, 20, "b"),
                                    MakeSave(2, 15)};
  std::sort(saves.begin(), saves.end(),
            [](auto& a, auto& b) { return a.answer.value < b.answer.value; });
  for (int64_t position = 0; position < 3; ++position) {
    for (int repeat = 0; repeat < 2; ++repeat) {
      for (SaveRequest save : saves) {
        save.position = position;
        ASSERT_TRUE(file.store->Save(ada, save, absl::Now()).ok());
      }
    }
    const auto answer = file.store->Sheets(ada)->at(position)[Question::kCoherenceFirst];
    EXPECT_EQ(answer->value, 3);
    EXPECT_EQ(answer->version.client, "b");
    std::next_permutation(saves.begin(), saves.end(),
                          [](auto& a, auto& b) { return a.answer.version < b.answer.version; });
  }
  // What loses is told what has won.
  const auto answer = file.store->Save(ada, MakeSave(5, 19), absl::Now());
  EXPECT_EQ(answer->value, 3);
  EXPECT_EQ(answer->version.sequence, 20);
}

TEST(StudyStoreTest, ConcurrentSavesThroughTwoConnectionsLoseNothing) {
  StudyFile file(MakeItems(5, 5), {"Ada"});
  const int64_t ada = file.Person(0);
  auto second = StudyStore::Open(file.path()).value();
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        StudyStore* store = t % 2 == 0 ? file.store.get() : second.get();
        for (int i = 0; i < 25; ++i) {
          const auto saved = store->Save(
              ada, MakeSave(1 + (t + i) % 5, 4 * i + t + 1, "c", i % 5, AllQuestions()[t]),
              absl::Now());
          EXPECT_TRUE(saved.ok()) << saved.status();
        }
      });
    }
  }
  const auto sheets = second->Sheets(ada).value();
  for (int position = 0; position < 5; ++position) {
    for (int t = 0; t < 4; ++t) {
      const int last = 20 + position;
      const auto& answer = sheets[position][AllQuestions()[t]];
      ASSERT_TRUE(answer.has_value());
      EXPECT_EQ(answer->value, 1 + (t + last) % 5);
      EXPECT_EQ(answer->version.sequence, 4 * last + t + 1);
    }
  }
}

TEST(StudyStoreTest, RefusesWhatIsOutOfRange) {
  StudyFile file(MakeItems(3, 3), {"Ada"});
  const int64_t ada = file.Person(0);
  EXPECT_EQ(file.store->Save(ada, MakeSave(6, 1), absl::Now()).status().code(),
            absl::StatusCode::kInvalidArgument);
  for (const int64_t position : {int64_t{-1}, int64_t{3}})
    EXPECT_TRUE(absl::IsNotFound(
        file.store->Save(ada, MakeSave(1, 1, "c", position), absl::Now()).status()));
  EXPECT_TRUE(absl::IsNotFound(file.store->Save(ada + 1, MakeSave(1, 1), absl::Now()).status()));
  EXPECT_TRUE(absl::IsNotFound(file.store->ReadItem(ada, 3).status()));
  EXPECT_TRUE(file.store->Reviewed()->empty());
}

TEST(StudyStoreTest, StatusAndReviewedSayWhatIsThere) {
  StudyFile file(MakeItems(6, 2), {"Ada", "Grace"});
  file.Judge(file.Person(0), 1, {1, 2, 3, 4, kPreferFirst, kPreferSecond});
  file.Judge(file.Person(0), 3, {5});
  const auto annotators = file.store->Annotators().value();
  ASSERT_EQ(annotators.size(), 2U);
  EXPECT_EQ(annotators[0].name, "Ada");
  EXPECT_EQ(annotators[0].assigned, 4);
  EXPECT_EQ(annotators[0].judged, 1);
  EXPECT_EQ(annotators[0].unfinished, 1);
  EXPECT_EQ(annotators[0].last_save, absl::FromUnixSeconds(1700000000));
  EXPECT_EQ(annotators[1].judged, 0);
  EXPECT_EQ(annotators[1].last_save, absl::InfinitePast());
  const auto reviewed = file.store->Reviewed().value();
  ASSERT_EQ(reviewed.size(), 2U);
  EXPECT_EQ(reviewed[0].position, 1);
  EXPECT_TRUE(reviewed[0].complete());
  EXPECT_EQ(reviewed[1].position, 3);
  EXPECT_EQ(reviewed[1].sheet.answered(), 1);
  EXPECT_EQ(reviewed[1].row, 100 + reviewed[1].item);
  EXPECT_EQ(reviewed[1].shared, reviewed[1].item < 2);
  // Sides as they are shown.
  const ShownItem shown = file.store->ReadItem(file.Person(0), 1).value();
  EXPECT_EQ(shown.first[0] == 'a', reviewed[0].arm_first);
}

TEST(StudyStoreTest, AStudyOfTheFirstSchemaGoesOnWithItsFiveQuestions) {
  StudyFile file(MakeItems(4, 4), {"Ada"});
  {
    auto database = sqlite::Database::Open(file.path());
    ASSERT_TRUE(database.ok());
    ASSERT_TRUE((*database)
                    ->Execute("UPDATE review_meta SET value = '1' WHERE key = 'schema_version'")
                    .ok());
  }
  file.Reopen();
  EXPECT_EQ(file.store->questions(), 5u);
  EXPECT_EQ(file.store->Info()->questions, 5u);
  file.Judge(file.Person(0), 0, {1, 2, 3, 4, kPreferFirst});
  file.Judge(file.Person(0), 1, {1, 2, 3, 4});
  const AnnotatorStatus ada = file.store->Annotators()->at(0);
  EXPECT_EQ(ada.judged, 1);
  EXPECT_EQ(ada.unfinished, 1);
  EXPECT_TRUE(file.store->Reviewed()->at(0).complete());
  const auto refused =
      file.store->Save(file.Person(0), MakeSave(1, 1, "c", 0, Question::kMoreOffensive), {});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("does not ask"));
}

TEST(StudyStoreTest, WhoComesLaterTakesWhatARevokedPersonLeft) {
  StudyFile file(MakeItems(8, 0), {"Ada", "Grace"});
  file.Judge(file.Person(0), 0, {1, 2, 3, 4, 0, 0});
  const std::string judged = file.store->ReadItem(file.Person(0), 0)->dialogue;
  std::set<std::string> left;
  for (int64_t i = 1; i < 4; ++i) left.insert(file.store->ReadItem(file.Person(0), i)->dialogue);
  ASSERT_TRUE(file.store->Revoke("Ada").ok());
  const auto invited = file.store->Invite({{"Edsger"}});
  ASSERT_TRUE(invited.ok()) << invited.status();
  const int64_t newcomer = file.store->Authenticate(invited->at(0).token).value();
  ASSERT_EQ(file.store->Sheets(newcomer)->size(), 4U);
  std::set<std::string> got;
  for (int64_t i = 0; i < 4; ++i) got.insert(file.store->ReadItem(newcomer, i)->dialogue);
  EXPECT_TRUE(std::includes(got.begin(), got.end(), left.begin(), left.end()));
}

TEST(StudyStoreTest, NamesAreUniqueAndAFailedInvitationInvitesNobody) {
  StudyFile file(MakeItems(3, 3), {"Ada"});
  for (const std::vector<std::string>& names : std::vector<std::vector<std::string>>{
           {"Grace", "Ada"}, {"Grace", "Grace"}, {"Grace", ""}, {std::string(101, 'x')}}) {
    EXPECT_FALSE(file.store->Invite(names).ok());
    EXPECT_EQ(file.store->Annotators()->size(), 1U);
  }
}

TEST(StudyStoreTest, CreatingNeverTouchesWhatIsThere) {
  testing::TempFolder folder;
  const std::string path = folder / "study.sqlite";
  std::ofstream(path) << "mine";
  EXPECT_TRUE(absl::IsAlreadyExists(StudyStore::Create(path, MakeItems(2, 0), {}).status()));
  EXPECT_EQ(ReadAll(path), "mine");
  // One that fails in the middle leaves nothing.
  const std::string other = folder / "other.sqlite";
  const std::vector<std::string> twice = {"Ada", "Ada"};
  EXPECT_FALSE(StudyStore::Create(other, MakeItems(2, 0), twice).ok());
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
  EXPECT_THAT(
      std::string(StudyStore::Create(folder / "no/where", MakeItems(2, 0), {}).status().message()),
      HasSubstr("no/where"));
}

TEST(StudyStoreTest, SaysWhatIsWrongWithAFile) {
  StudyFile file(MakeItems(40, 40), {"Ada"});
  file.store.reset();
  testing::TempFolder folder;
  EXPECT_TRUE(absl::IsNotFound(StudyStore::Open(folder / "none").status()));

  const std::string text = folder / "text";
  std::ofstream(text) << std::string(5000, 'x');
  EXPECT_TRUE(absl::IsDataLoss(StudyStore::Open(text).status()));

  const std::string empty = folder / "empty";
  std::ofstream(empty) << "";
  EXPECT_TRUE(absl::IsFailedPrecondition(StudyStore::Open(empty).status()));

  const std::string bytes = ReadAll(file.path());
  const std::string corrupt = folder / "corrupt";
  std::ofstream(corrupt, std::ios::binary)
      << bytes.substr(0, 4096) << std::string(8192, 'x') << bytes.substr(4096 + 8192);
  const absl::Status status = StudyStore::Open(corrupt).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(corrupt));
}

TEST(StudyStoreTest, ALockedFileIsUnavailableAndLosesNothing) {
  StudyFile file(MakeItems(3, 3), {"Ada"});
  const int64_t ada = file.Person(0);
  ASSERT_TRUE(file.store->Save(ada, MakeSave(4, 1), absl::Now()).ok());
  {
    auto other = sqlite::Database::Open(file.path()).value();
    auto transaction = sqlite::Transaction::Begin(other.get()).value();
    EXPECT_TRUE(absl::IsUnavailable(file.store->Save(ada, MakeSave(2, 2), absl::Now()).status()));
    EXPECT_TRUE(file.store->Authenticate(file.invitations[0].token).ok());  // reading goes on
  }
  EXPECT_EQ(file.store->Sheets(ada)->at(0)[Question::kCoherenceFirst]->value, 4);
  EXPECT_EQ(file.store->Save(ada, MakeSave(2, 2), absl::Now())->value, 2);
  file.Reopen();
  EXPECT_EQ(file.store->Sheets(ada)->at(0)[Question::kCoherenceFirst]->value, 2);
}

}  // namespace
}  // namespace mellow::review
