// Every field of the API by its type and range; what is wrong is named, and the status is the right one.
#include "server/request_schema.h"

#include <gtest/gtest.h>

#include "server/api_error.h"
#include "server/request_fields.h"

namespace quire {
namespace {

RequestLimits limits() {
  RequestLimits limits;
  limits.model_names = {"demo", "alias"};
  limits.vocab_size = 100;
  limits.max_model_len = 64;
  limits.max_prompt_bytes = 1000;
  return limits;
}

const std::string kChatHead = R"({"messages":[{"role":"user","content":"x"}],)";
const std::string kCompletionHead = R"({"prompt":"x",)";

// Status and message of what the validator says to a body; 200 if it takes it.
template <class Parse>
std::pair<int, std::string> judge(Parse parse, const std::string& body) {
  try {
    parse(parse_request_body(body), limits());
    return {200, ""};
  } catch (const ApiError& error) {
    return {error.status(), error.param() + " " + error.what()};
  }
}
auto judge_chat(const std::string& body) { return judge(parse_chat_call, body); }
auto judge_completion(const std::string& body) { return judge(parse_completion_call, body); }

void expect_refused(const std::pair<int, std::string>& verdict, int status, const std::string& word,
                    const std::string& body) {
  EXPECT_EQ(verdict.first, status) << body << ": " << verdict.second;
  EXPECT_NE(verdict.second.find(word), std::string::npos) << body << ": " << verdict.second;
}

// What is no JSON and values of a wrong type: hostile_fields_test.cpp.
TEST(RequestBody, OddButRightBodiesAreTaken) {
  EXPECT_EQ(judge_completion(kCompletionHead + R"("user":"\u0000"})").first, 200) << "U+0000 is a character";
  const std::string levels = std::string(126, '[') + std::string(126, ']');
  EXPECT_EQ(judge_completion(kCompletionHead + "\"metadata\":" + levels + "}").first, 200);
}

TEST(RequestBody, RangesNameTheField) {
  const std::pair<const char*, const char*> bad[] = {{"max_tokens", "0"},
                                                     {"max_tokens", "-1"},
                                                     {"max_tokens", "2147483648"},
                                                     {"n", "0"},
                                                     {"temperature", "-3"},
                                                     {"presence_penalty", "-3"},
                                                     {"frequency_penalty", "3"},
                                                     {"seed", "-0.0"},
                                                     {"n", "-1"},
                                                     {"n", "129"},
                                                     {"n", "2147483648"},
                                                     {"top_k", "-2"},
                                                     {"top_p", "0"},
                                                     {"top_p", "1.1"},
                                                     {"temperature", "2.1"},
                                                     {"temperature", "-0.1"},
                                                     {"min_p", "1.5"},
                                                     {"min_tokens", "-1"},
                                                     {"min_tokens", "17"},
                                                     {"repetition_penalty", "0"},
                                                     {"logprobs", "21"},
                                                     {"logprobs", "-1"},
                                                     {"prompt_logprobs", "21"},
                                                     {"priority", "1"},
                                                     {"best_of", "2"},
                                                     {"cache_salt", "\"\""},
                                                     {"cache_salt", "\"\\u0007\""},
                                                     {"stop", "[\"\"]"},
                                                     {"stop", "\"\""},
                                                     {"stop", "[1]"},
                                                     {"stop", "[\"a\",\"b\",\"c\",\"d\",\"e\"]"},
                                                     {"stop_token_ids", "[-1]"},
                                                     {"stop_token_ids", "[1.5]"},
                                                     {"stop_token_ids", "[2147483648]"},
                                                     {"logit_bias", "{\"x\":1}"},
                                                     {"logit_bias", "{\"100\":1}"},
                                                     {"logit_bias", "{\"-1\":1}"},
                                                     {"logit_bias", "{\"1\":\"2\"}"},
                                                     {"logit_bias", "[]"},
                                                     {"stream", "1"},
                                                     {"stream", "\"true\""},
                                                     {"stream_options", "{\"include_usage\":true}"},
                                                     {"echo", "0"},
                                                     {"ignore_eos", "\"no\""},
                                                     {"user", "7"},
                                                     {"model", "7"}};
  for (const auto& [field, value] : bad) {
    const std::string body = kCompletionHead + "\"" + field + "\":" + value + "}";
    expect_refused(judge_completion(body), 400, field, body);
  }
  const std::string salt = kCompletionHead + "\"cache_salt\":\"" + std::string(1 << 20, 'a') + "\"}";
  expect_refused(judge_completion(salt), 400, "cache_salt", "a salt of 1 MB");
  std::string stops = kCompletionHead + "\"stop\":[\"a\"";
  for (int i = 0; i < 1'000'000; ++i) stops += ",\"a\"";
  expect_refused(judge_completion(stops + "]}"), 400, "stop", "a million stop strings");
}

TEST(RequestBody, WhatIsAllowedIsTaken) {
  for (const char* fields :
       {"\"temperature\":-0.0", "\"top_k\":-1", "\"seed\":-9223372036854775808", "\"n\":2,\"temperature\":1",
        "\"max_tokens\":null,\"stop\":null", "\"logit_bias\":{\"99\":-1000}", "\"model\":\"alias\"",
        "\"quux\":{\"deep\":[1]}", "\"stream\":true,\"stream_options\":{\"include_usage\":true}",
        "\"tool_choice\":\"none\"", "\"response_format\":{\"type\":\"text\"}", "\"suffix\":\"\""}) {
    const std::string body = kCompletionHead + fields + "}";
    EXPECT_EQ(judge_completion(body).first, 200) << body << judge_completion(body).second;
  }
}

TEST(RequestBody, Defaults) {
  RequestLimits model_limits = limits();
  model_limits.defaults.temperature = 0.5;
  const CompletionCall call = parse_completion_call(parse_request_body(R"({"prompt":"x"})"), model_limits);
  EXPECT_EQ(call.params.max_tokens, 16);
  EXPECT_EQ(call.params.temperature, 0.5);
  EXPECT_EQ(call.model, "demo");
  EXPECT_TRUE(call.add_special_tokens);
  const ChatCall chat = parse_chat_call(
      parse_request_body(kChatHead + R"("max_completion_tokens":5,"max_tokens":9})"), model_limits);
  EXPECT_EQ(chat.params.max_tokens, 5);
  EXPECT_FALSE(chat.add_special_tokens);
  EXPECT_FALSE(parse_chat_call(parse_request_body(kChatHead + R"("n":1})"), model_limits)
                   .params.max_tokens.has_value());
}

TEST(RequestBody, Prompts) {
  const auto parse = [](const std::string& prompt) {
    return judge_completion("{\"prompt\":" + prompt + "}");
  };
  for (const char* prompt :
       {"\"x\"", "[\"x\",\"y\"]", "[1,2]", "[[1],[2,3]]", "[99]", "[1.0]", "\"\\u0000\""})
    EXPECT_EQ(parse(prompt).first, 200) << prompt;
  std::string many = "[\"x\"";
  for (int i = 0; i < 1024; ++i) many += ",\"x\"";
  for (const std::string& prompt :
       {std::string("\"\""), std::string("[]"), std::string("null"), std::string("[[]]"), std::string("{}"),
        std::string("true"), std::string("[-1]"), std::string("[100]"), std::string("[2147483648]"),
        std::string("[1,\"x\"]"), std::string("[[1],\"\"]"), std::string("[1.5]"), many + "]"}) {
    expect_refused(parse(prompt), 400, "prompt", prompt.substr(0, 40));
  }
  expect_refused(parse("\"" + std::string(1001, 'x') + "\""), 400, "1001", "longer than the context can be");
  EXPECT_EQ(judge_completion("{}").first, 400);
}

TEST(RequestBody, Messages) {
  const auto parse = [](const std::string& messages) {
    return judge_chat("{\"messages\":" + messages + "}");
  };
  for (const char* messages : {R"([{"role":"user","content":"x"}])",
                               R"([{"role":"developer","content":[{"type":"text","text":"x"}]}])",
                               R"([{"role":"assistant","content":null,"tool_calls":[{"id":"1"}]}])",
                               R"([{"role":"assistant","content":[{"type":"refusal","refusal":"no"}]}])",
                               R"([{"role":"assistant","content":null,"refusal":"no"}])",
                               R"([{"role":"assistant","refusal":"no","function_call":null}])",
                               R"([{"role":"user","content":"a\u0000b"}])",
                               R"([{"role":"user","content":[{"type":"input_text","text":"x"}]}])",
                               R"([{"role":"assistant","content":[{"type":"output_text","text":"x"}]}])",
                               R"([{"role":"tool","content":"x","tool_call_id":"1"}])"}) {
    EXPECT_EQ(parse(messages).first, 200) << messages << parse(messages).second;
  }
  for (const char* messages :
       {"[]", "null", "{}", "\"x\"", "[1]", R"([{"content":"x"}])", R"([{"role":"king","content":"x"}])",
        R"([{"role":"user"}])", R"([{"role":"user","content":null}])", R"([{"role":"user","content":1}])",
        R"([{"role":"assistant","content":null}])", R"([{"role":"assistant","content":null,"refusal":7}])",
        R"([{"role":"assistant","content":[{"type":"refusal","text":"no"}]}])",
        R"([{"role":"assistant","content":[{"type":"refusal"}]}])",
        R"([{"role":"user","content":[{"type":"image_url","image_url":{"url":"file:///etc/passwd"}}]}])",
        R"([{"role":"user","content":["x"]}])", R"([{"role":"user","content":[{"type":"text"}]}])",
        R"([{"role":1,"content":"x"}])"}) {
    expect_refused(parse(messages), 400, "messages", messages);
  }
}

TEST(RequestBody, ThoughtsArriveUnderEachName) {
  for (const std::string name : {"reasoning", "thinking", "reasoning_content"}) {
    const ChatCall call = parse_chat_call(
        parse_request_body(R"({"messages":[{"role":"assistant","content":"x",")" + name + R"(":"hm"}]})"),
        limits());
    EXPECT_EQ(call.messages[0].value(name, ""), "hm");
  }
}

TEST(RequestBody, MessagesArriveAsTemplatesReadThem) {
  const ChatCall call = parse_chat_call(
      parse_request_body(
          R"({"messages":[{"name":"a","content":[{"type":"text","text":"x"},{"type":"text","text":"y"}],"role":"user"}],
                            "chat_template_kwargs":{"enable_thinking":false},"reasoning_effort":"low"})"),
      limits());
  EXPECT_EQ(
      call.messages.dump(),
      R"([{"role":"user","content":[{"type":"text","text":"x"},{"type":"text","text":"y"}],"name":"a"}])")
      << "which form the template wants is not known here";
  EXPECT_EQ(call.template_variables.dump(), R"({"enable_thinking":false,"reasoning_effort":"low"})");
}

TEST(RequestBody, PathsEndWithWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {R"([{"role":"user","content":["x"]}])", "messages[0].content[0]"},
      {R"([{"role":"user","content":[{"type":"text","text":"a"},7]}])", "messages[0].content[1]"},
      {R"([{"role":"user","content":[{"type":"audio"}]}])", "messages[0].content[0].type"},
      {R"([{"role":"user","content":[{"type":"text"}]}])", "messages[0].content[0].text"},
      {R"([{"role":"user","content":3}])", "messages[0].content"},
      {R"([{"role":"assistant","content":"x","function_call":{}}])", "messages[0].function_call"}};
  for (const auto& [messages, path] : cases) {
    try {
      parse_chat_call(parse_request_body("{\"messages\":" + std::string(messages) + "}"), limits());
      ADD_FAILURE() << messages;
    } catch (const ApiError& error) {
      EXPECT_EQ(error.param(), path);
      EXPECT_NE(std::string(error.what()).find("`" + std::string(path) + "`"), std::string::npos)
          << error.what();
    }
  }
}

// JSON has one kind of number: what has no fraction is an integer.
TEST(RequestBody, IntegersMayBeWrittenWithAPoint) {
  const CompletionCall call = parse_completion_call(
      parse_request_body(kCompletionHead + R"("max_tokens":5.0,"n":1e0,"top_k":2.0,"seed":-3.0,"logprobs":0.0,
          "stop_token_ids":[7.0]})"),
      limits());
  EXPECT_EQ(call.params.max_tokens, 5);
  EXPECT_EQ(call.n, 1);
  EXPECT_EQ(call.params.top_k, 2);
  EXPECT_EQ(call.params.seed, -3);
  EXPECT_EQ(call.params.logprobs, 0);
  EXPECT_EQ(call.params.stop_token_ids, (std::vector<std::int32_t>{7}));
  EXPECT_EQ(
      parse_chat_call(parse_request_body(kChatHead + R"("max_tokens":5.0})"), limits()).params.max_tokens, 5);
  for (const char* value : {"5.5", "1e16", "9.3e18", "0.1"}) {
    expect_refused(judge_chat(kChatHead + "\"seed\":" + value + "}"), 400, "seed", value);
  }
}

TEST(RequestBody, ZeroTokensAreForScoring) {
  const CompletionCall call =
      parse_completion_call(parse_request_body(kCompletionHead + R"("echo":true,"max_tokens":0})"), limits());
  EXPECT_TRUE(call.is_scoring);
  EXPECT_EQ(call.params.max_tokens, 0);
  expect_refused(judge_completion(kCompletionHead + R"("max_tokens":0})"), 400, "max_tokens", "no echo");
  expect_refused(judge_chat(kChatHead + R"("max_tokens":0})"), 400, "max_tokens", "chat");
  expect_refused(judge_chat(kChatHead + R"("max_completion_tokens":0})"), 400, "max_completion_tokens",
                 "chat");
}

TEST(RequestBody, TheAuthorsLengthIsTheDefault) {
  RequestLimits short_limits = limits();
  short_limits.defaults.max_tokens = 3;
  EXPECT_EQ(parse_chat_call(parse_request_body(kChatHead + R"("n":1})"), short_limits).params.max_tokens, 3);
  EXPECT_EQ(parse_completion_call(parse_request_body(R"({"prompt":"x"})"), short_limits).params.max_tokens,
            3);
  const auto longer = parse_chat_call(parse_request_body(kChatHead + R"("min_tokens":5})"), short_limits);
  EXPECT_EQ(longer.params.max_tokens, 5) << "a client that asks for more has not asked for too much";
  short_limits.defaults.max_tokens = 300;
  EXPECT_EQ(parse_completion_call(parse_request_body(R"({"prompt":"x"})"), short_limits).params.max_tokens,
            16);
  const ChatCall named = parse_chat_call(parse_request_body(kChatHead + R"("max_tokens":9})"), short_limits);
  EXPECT_EQ(named.params.max_tokens, 9);
  EXPECT_TRUE(named.has_max_tokens);
}

TEST(RequestBody, TokenIdsAndSpecialTokensAreReturnedOnRequest) {
  const ChatCall call = parse_chat_call(
      parse_request_body(
          kChatHead +
          R"("skip_special_tokens":false,"return_token_ids":true,"return_tokens_as_token_ids":true})"),
      limits());
  EXPECT_FALSE(call.params.skip_special_tokens);
  EXPECT_TRUE(call.returns_token_ids);
  EXPECT_TRUE(call.shows_tokens_as_ids);
  const ChatCall plain = parse_chat_call(parse_request_body(kChatHead + R"("n":1})"), limits());
  EXPECT_TRUE(plain.params.skip_special_tokens);
  EXPECT_FALSE(plain.returns_token_ids || plain.shows_tokens_as_ids);
  for (const char* field : {"skip_special_tokens", "return_token_ids", "return_tokens_as_token_ids"}) {
    expect_refused(judge_chat(kChatHead + "\"" + field + "\":1}"), 400, field, field);
  }
}

TEST(RequestBody, DocumentsReachTheTemplate) {
  const ChatCall call =
      parse_chat_call(parse_request_body(kChatHead + R"("documents":[{"title":"t"}]})"), limits());
  EXPECT_EQ(call.template_variables.dump(), R"({"documents":[{"title":"t"}]})");
}

// What other servers understand and this one does not is refused by name, unless it asks for nothing.
TEST(RequestBody, FieldsOfOtherDialectsAreNotIgnored) {
  for (const char* field :
       {"\"regex\":\"a\"", "\"ebnf\":\"a\"", "\"json_schema\":\"{}\"", "\"grammar\":\"a\"",
        "\"structural_tag\":\"{}\"", "\"guided_decoding_backend\":\"x\"", "\"detokenize\":false",
        "\"logits_processors\":[\"x\"]", "\"lora_path\":\"x\"", "\"mirostat\":2", "\"typical_p\":0.9",
        "\"repeat_penalty\":1.1", "\"xtc_probability\":0.5", "\"modalities\":[\"text\",\"audio\"]",
        "\"include_reasoning\":false", "\"echo\":true", "\"verbosity\":\"high\"",
        "\"function_call\":\"auto\"", "\"spaces_between_special_tokens\":false"}) {
    const std::string name = std::string(field).substr(1, std::string(field).find('"', 1) - 1);
    expect_refused(judge_chat(kChatHead + field + "}"), 501, name, field);
  }
  for (const char* field : {"max_new_tokens", "n_predict", "num_predict"}) {
    expect_refused(judge_chat(kChatHead + "\"" + field + "\":5}"), 400, field, field);
  }
  for (const char* field : {"\"detokenize\":true", "\"regex\":null", "\"typical_p\":1.0", "\"mirostat\":0",
                            "\"modalities\":[\"text\"]", "\"include_reasoning\":true", "\"repeat_penalty\":1",
                            "\"metadata\":{\"a\":\"b\"}", "\"store\":true", "\"service_tier\":\"auto\"",
                            "\"length_penalty\":1.0", "\"spaces_between_special_tokens\":true"}) {
    EXPECT_EQ(judge_chat(kChatHead + field + "}").first, 200)
        << field << judge_chat(kChatHead + field + "}").second;
  }
}

TEST(RequestBody, TemplatesOfRequestsAreRefused) {
  for (const char* fields :
       {R"("chat_template":"{{ x }}")", R"("chat_template_kwargs":{"chat_template":"x"})",
        R"("chat_template_kwargs":{"tokenize":true})", R"("chat_template_kwargs":{"messages":[]})",
        R"("chat_template_kwargs":7)"}) {
    const std::string body = kChatHead + fields + "}";
    expect_refused(judge_chat(body), 400, "chat_template", body);
  }
}

TEST(RequestBody, LogprobsOfChat) {
  EXPECT_EQ(judge_chat(kChatHead + R"("logprobs":true,"top_logprobs":20})").first, 200);
  for (const char* fields : {R"("top_logprobs":3)", R"("logprobs":true,"top_logprobs":21)",
                             R"("logprobs":true,"top_logprobs":-1)", R"("logprobs":3)"}) {
    expect_refused(judge_chat(kChatHead + fields + "}"), 400, "logprobs", fields);
  }
}

TEST(RequestBody, AnUnknownModelIs404) {
  expect_refused(judge_chat(kChatHead + R"("model":"other"})"), 404, "The model `other` does not exist.",
                 "model");
  expect_refused(judge_completion(kCompletionHead + R"("model":""})"), 404, "model", "model");
}

TEST(RequestBody, GreedyAnswersAreOne) {
  expect_refused(judge_completion(kCompletionHead + R"("n":2,"temperature":0})"), 400, "n", "n");
}

TEST(RequestBody, LaterFeaturesAreJudgedThenDeclined) {
  const std::string tool = R"({"type":"function","function":{"name":"f","parameters":{"type":"object"}}})";
  std::string many = tool;
  for (int i = 0; i < 1000; ++i) many += "," + tool;
  const std::string malformed[] = {
      R"("tools":[])",
      R"("tools":{})",
      R"("tools":[1])",
      R"("tools":[{"type":"function"}])",
      R"("tools":[{"type":"x","function":{"name":"f"}}])",
      R"("tools":[{"type":"function","function":{}}])",
      R"("tools":[{"type":"function","function":{"name":"a b"}}])",
      "\"tools\":[" + tool + "," + tool + "]",
      "\"tools\":[" + many + "]",
      R"("tools":[{"type":"function","function":{"name":"f","parameters":{"type":"foo"}}}])",
      R"("tool_choice":"required")",
      R"("tool_choice":"auto")",
      "\"tools\":[" + tool + R"(],"tool_choice":{"type":"function","function":{"name":"g"}})",
      "\"tools\":[" + tool + R"(],"tool_choice":"some")",
      R"("response_format":"json")",
      R"("response_format":{})",
      R"("response_format":{"type":"json_schema"})",
      R"("response_format":{"type":"json_schema","json_schema":{"name":"x"}})",
      R"("response_format":{"type":"json_schema","json_schema":{"schema":7}})",
      R"("structured_outputs":{})",
      R"("structured_outputs":{"regex":""})",
      R"("structured_outputs":{"choice":[]})",
      R"("structured_outputs":{"regex":"a","choice":["a"]})",
      R"("structured_outputs":{"regex":7})",
      R"("allowed_token_ids":[])",
      R"("allowed_token_ids":["x"])",
      R"("bad_words":[1])",
      R"("continue_final_message":true)"};
  for (const std::string& fields : malformed)
    EXPECT_EQ(judge_chat(kChatHead + fields + "}").first, 400) << fields.substr(0, 100);
  const std::string proper[] = {
      "\"tools\":[" + tool + "]",
      R"("response_format":{"type":"json_object"})",
      R"("response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object"}}})",
      R"("structured_outputs":{"regex":"a+"})",
      R"("guided_json":{})",
      R"("allowed_token_ids":[1])",
      R"("bad_words":["x"])",
      R"("use_beam_search":true)",
      R"("suffix":"x")",
      R"("truncate_prompt_tokens":5)",
      R"("continue_final_message":true,"add_generation_prompt":false)"};
  for (const std::string& fields : proper)
    EXPECT_EQ(judge_chat(kChatHead + fields + "}").first, 501) << fields;
  const std::string unwanted = "\"tools\":[" + tool + R"(],"tool_choice":"none")";
  EXPECT_EQ(judge_chat(kChatHead + unwanted + "}").first, 200)
      << "no tool is to be called, so none is missing";
}

TEST(RequestBody, TokenizeAndDetokenize) {
  const auto tokenize = [](const std::string& body) { return judge(parse_tokenize_call, body).first; };
  EXPECT_EQ(tokenize(R"({"prompt":"x"})"), 200);
  EXPECT_EQ(tokenize(R"({"prompt":""})"), 200);
  const std::string longer = "\"" + std::string(5000, 'x') + "\"";
  EXPECT_EQ(tokenize("{\"prompt\":" + longer + "}"), 200) << "counting is what it is for";
  EXPECT_EQ(tokenize("{\"messages\":[{\"role\":\"user\",\"content\":" + longer + "}]}"), 200);
  EXPECT_EQ(tokenize(R"({"messages":[{"role":"user","content":"x"}]})"), 200);
  EXPECT_EQ(tokenize("{}"), 400);
  EXPECT_EQ(tokenize(R"({"prompt":"x","messages":[]})"), 400);
  EXPECT_EQ(tokenize(R"({"prompt":["x"]})"), 400);
  const auto detokenize = [](const std::string& body) { return judge(parse_detokenize_call, body).first; };
  EXPECT_EQ(detokenize(R"({"tokens":[]})"), 200);
  EXPECT_EQ(detokenize(R"({"tokens":[0,99]})"), 200);
  std::string many = "[7";
  for (int i = 0; i < 5000; ++i) many += ",7";
  EXPECT_EQ(detokenize("{\"tokens\":" + many + "]}"), 200) << "more than the context holds";
  for (const char* tokens : {"[100]", "[-1]", "[2147483648]", "7", "null"}) {
    EXPECT_EQ(detokenize("{\"tokens\":" + std::string(tokens) + "}"), 400) << tokens;
  }
}

TEST(ApiError, BodyIsWhatClientsRead) {
  const ApiError error(400, "`n` is wrong \xff", "n");
  EXPECT_EQ(error.body(),
            "{\"error\":{\"code\":400,\"message\":\"`n` is wrong "
            "\xef\xbf\xbd\",\"param\":\"n\",\"type\":\"BadRequestError\"}}\n");
  EXPECT_EQ(Json::parse(ApiError(503, "x").body())["error"]["param"], nullptr);
}

TEST(ApiError, InsidesStayInside) {
  const Error internal(ErrorKind::kInternal, "page 7 at 0x7f00 in /secret/path");
  EXPECT_EQ(api_error_of(internal).status(), 500);
  EXPECT_EQ(api_error_of(internal).body().find("secret"), std::string::npos);
  const ApiError named = api_error_of(Error(ErrorKind::kInvalidArgument, "top_p is 7, must lie in (0, 1]"));
  EXPECT_EQ(named.param(), "top_p");
}

}  // namespace
}  // namespace quire
