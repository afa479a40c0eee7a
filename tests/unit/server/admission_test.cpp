#include "server/admission.h"

#include <gtest/gtest.h>

#include "server/api_error.h"

namespace quire {
namespace {

int status_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const ApiError& error) {
    EXPECT_EQ(error.headers().empty(), error.status() != 429) << "429 says when to come again";
    return error.status();
  }
  return 200;
}

TEST(Admission, CountsAnswersThatRunOrWait) {
  Admission admission;
  admission.set_limits({2, 3, 0});
  auto first = std::make_unique<Admission::Ticket>(admission.enter("a", 4, 10));
  EXPECT_EQ(status_of([&] { (void)admission.enter("b", 2, 10); }), 429);
  EXPECT_EQ(status_of([&] { admission.check_room("b"); }), 200);
  Admission::Ticket second = admission.enter("a", 1, 10);
  EXPECT_EQ(status_of([&] { admission.check_room("a"); }), 429);
  EXPECT_EQ(status_of([&] { (void)admission.enter("b", 6, 1); }), 400) << "could never be taken";
  first.reset();
  EXPECT_EQ(admission.num_answers(), 1);
  Admission::Ticket moved = std::move(second);
  EXPECT_EQ(admission.num_answers(), 1);
}

TEST(Admission, NoClientHasAllPlaces) {
  Admission admission;
  admission.set_limits({8, 8, 0});
  Admission::Ticket greedy = admission.enter("a", 14, 0);  // seven eighths
  EXPECT_EQ(status_of([&] { (void)admission.enter("a", 1, 0); }), 429);
  EXPECT_EQ(status_of([&] { admission.check_room("a"); }), 429);
  EXPECT_EQ(status_of([&] { admission.check_room("b"); }), 200);
  EXPECT_EQ(status_of([&] { (void)admission.enter("b", 2, 0); }), 200);
  EXPECT_EQ(status_of([&] { (void)admission.enter("b", 15, 0); }), 400) << "could never be taken";
  admission.set_limits({8, 8, 0, 3});
  Admission::Ticket bounded = admission.enter("b", 2, 0);
  EXPECT_EQ(status_of([&] { (void)admission.enter("b", 2, 0); }), 429);
}

TEST(Admission, ACallGrowsOnceItIsPrepared) {
  Admission admission;
  admission.set_limits({2, 2, 100});
  Admission::Ticket ticket = admission.enter("a", 1, 0);
  Admission::Ticket other = admission.enter("a", 1, 0);
  EXPECT_EQ(status_of([&] { ticket.grow_to(4, 10); }), 429);
  EXPECT_EQ(admission.num_answers(), 2) << "what was refused holds what it held";
  ticket.grow_to(3, 10);
  EXPECT_EQ(admission.num_answers(), 4);
}

TEST(Admission, BoundsPromptTokensThatWait) {
  Admission admission;
  admission.set_limits({10, 10, 100});
  Admission::Ticket first =
      admission.enter("a", 1, 5000);  // alone in the queue: a long prompt may always come
  EXPECT_EQ(status_of([&] { (void)admission.enter("a", 1, 1); }), 429);
  first.begin();
  Admission::Ticket second = admission.enter("a", 1, 60);
  EXPECT_EQ(status_of([&] { (void)admission.enter("a", 1, 41); }), 429);
  EXPECT_EQ(status_of([&] { (void)admission.enter("a", 1, 40); }), 200);
}

TEST(Admission, TicketsMayOutliveIt) {
  auto admission = std::make_unique<Admission>();
  admission->set_limits({1, 0, 0});
  Admission::Ticket ticket = admission->enter("a", 1, 1);
  admission.reset();
  ticket.begin();
}

}  // namespace
}  // namespace quire
