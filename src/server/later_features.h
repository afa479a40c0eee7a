// Fields of the API that this build knows and does not serve: a malformed one is a 400, a proper one a 501
// with words. Taking them in silence would answer another question than the one that was asked.
#pragma once

#include "server/request_fields.h"

namespace quire {

// response_format, structured_outputs and its older names, tools and tool_choice, beam search, forced and
// forbidden tokens, truncation, and the like. Throws ApiError.
void refuse_later_features(const RequestFields& fields);

// Likewise what only conversations have, and members of one of their messages.
void refuse_later_features_of_chat(const RequestFields& fields);
void refuse_later_features_of_message(const RequestFields& fields);

}  // namespace quire
