// Quire's public interface as a whole. Models: quire/model.h. Attention on tensors of your own:
// quire/attention.h. Every function throws quire::Error and nothing else of its own.
#pragma once

#include "quire/attention.h"
#include "quire/engine.h"
#include "quire/error.h"
#include "quire/model.h"
#include "quire/version.h"
