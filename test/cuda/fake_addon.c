// Stands in for the CUDA addon: describe() gives the lines "name=value" of FAKE_CUDA; "crash" there ends the process.
#include <node_api.h>
#include <stdlib.h>
#include <string.h>

static napi_value describe(napi_env env, napi_callback_info info) {
  napi_value facts, value;
  napi_create_object(env, &facts);
  const char* setting = getenv("FAKE_CUDA");
  char* text = strdup(setting ? setting : "");
  for (char* line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
    char* equals = strchr(line, '=');
    *equals = 0;
    napi_create_string_utf8(env, equals + 1, NAPI_AUTO_LENGTH, &value);
    napi_set_named_property(env, facts, line, value);
  }
  free(text);
  return facts;
}

static napi_value nothing(napi_env env, napi_callback_info info) { return NULL; }

NAPI_MODULE_INIT() {
  const char* setting = getenv("FAKE_CUDA");
  if (setting && strcmp(setting, "crash") == 0) abort();
  const char* names[] = {"describe", "initialize", "stop"};
  for (int i = 0; i < 3; ++i) {
    napi_value function;
    napi_create_function(env, names[i], NAPI_AUTO_LENGTH, i == 0 ? describe : nothing, NULL, &function);
    napi_set_named_property(env, exports, names[i], function);
  }
  return exports;
}
