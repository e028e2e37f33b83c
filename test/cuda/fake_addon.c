// Stands in for the CUDA addon: describe() gives the lines "name=value" of FAKE_CUDA; "crash" there ends the
// process by SIGABRT, "leave" with status 0.
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

static napi_ref make_error;

static napi_value initialize(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value factory;
  napi_get_cb_info(env, info, &count, &factory, NULL, NULL);
  napi_create_reference(env, factory, 1, &make_error);
  return NULL;
}

/// Throws what a call into cuDNN that failed becomes.
static napi_value emptyCache(napi_env env, napi_callback_info info) {
  napi_value factory, global, arguments[3], error;
  napi_get_reference_value(env, make_error, &factory);
  napi_get_global(env, &global);
  napi_create_int32(env, 5, &arguments[0]);
  napi_create_string_utf8(env, "cudnnCreate: CUDNN_STATUS_NOT_INITIALIZED", NAPI_AUTO_LENGTH, &arguments[1]);
  napi_create_string_utf8(env, "conv2d", NAPI_AUTO_LENGTH, &arguments[2]);
  napi_call_function(env, global, factory, 3, arguments, &error);
  napi_throw(env, error);
  return NULL;
}

static napi_value nothing(napi_env env, napi_callback_info info) { return NULL; }

NAPI_MODULE_INIT() {
  const char* setting = getenv("FAKE_CUDA");
  if (setting && strcmp(setting, "crash") == 0) abort();
  if (setting && strcmp(setting, "leave") == 0) _Exit(0);
  const napi_property_descriptor functions[] = {
      {"describe", NULL, describe, NULL, NULL, NULL, napi_default, NULL},
      {"initialize", NULL, initialize, NULL, NULL, NULL, napi_default, NULL},
      {"stop", NULL, nothing, NULL, NULL, NULL, napi_default, NULL},
      {"setOption", NULL, nothing, NULL, NULL, NULL, napi_default, NULL},
      {"emptyCache", NULL, emptyCache, NULL, NULL, NULL, napi_default, NULL},
  };
  napi_define_properties(env, exports, 5, functions);
  return exports;
}
