// plans STAND_IN DEVICE.json …: has the real cuDNN plan convolutions for devices that are not here, by the
// code that plans them for one that is. Each line of the input is
//   NAME PASS TF32 DETERMINISTIC COUNT N H W C K R S OH OW STRIDE_H STRIDE_W PAD_H PAD_W DILATION_H
//   DILATION_W GROUPS RELU BIAS
// and each of the output: DEVICE, then the line, then the first plan's engine and bytes of workspace, how
// many of COUNT plans there are, and why one of those that nothing excludes could not be built (or nothing);
// or why there is none; all divided by tabs. Before them come the descriptors of LRN and pooling:
// `descriptor`, what, and its status.
#include <dlfcn.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>

#include "cuda/conv2d_graph.h"
#include "cuda/descriptors.h"

namespace nodecudnn {
namespace {

struct Request {
  std::string line;
  Conv2dPass pass;
  Conv2dMath math;
  size_t count;  // Of plans to ask for.
  Conv2dShape shape;
};

std::vector<Request> readRequests() {
  std::vector<Request> requests;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    std::string name;
    int pass = 0;
    Request request{line, Conv2dPass::Forward, {}, 0, {}};
    Conv2dShape& q = request.shape;
    in >> name >> pass >> request.math.tf32 >> request.math.deterministic >> request.count >> q.n >> q.h >>
        q.w >> q.c >> q.k >> q.r >> q.s >> q.oh >> q.ow >> q.strideH >> q.strideW >> q.padH >> q.padW >>
        q.dilationH >> q.dilationW >> q.groups >> q.relu >> q.bias;
    CHECK(in && pass >= 0 && pass <= 2, "Expected a convolution but received ", line);
    request.pass = static_cast<Conv2dPass>(pass);
    requests.push_back(request);
  }
  return requests;
}

std::string contentOf(const std::string& path) {
  std::ifstream file(path);
  CHECK(file, "Expected a file but received ", path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// A tenth of the number after "deviceVer": 900 is 9.0.
int capabilityOf(const std::string& properties) {
  const size_t at = properties.find("\"deviceVer\":");
  CHECK(at != std::string::npos, "Expected deviceVer in ", properties);
  return std::stoi(properties.substr(at + 12)) / 10;
}

std::string oneLine(std::string text) {
  for (char& c : text)
    if (c == '\n' || c == '\t') c = ' ';
  return text;
}

/// What kept an offered plan from being built that math and workspace did not exclude, of the refusals from
/// `first` on.
std::string whyNotBuilt(const std::vector<std::string>& refusals, size_t first) {
  for (size_t i = first; i < refusals.size(); ++i)
    if (refusals[i].find("Deselecting execution plan") == std::string::npos &&
        refusals[i].find("workspace violation") == std::string::npos)
      return oneLine(refusals[i].empty() ? "no reason" : refusals[i]);
  return "";
}

template <class Make>
void tryDescriptor(const std::string& what, bool expected, Make make) {
  std::string status = "ok";
  try {
    make();
  } catch (const Error& error) {
    status = error.what();
  }
  std::cout << "descriptor\t" << what << '\t' << expected << '\t' << status << '\n';
}

void tryDescriptors() {
  for (int64_t size : {0, 1, 2, 5, 9, 15, 16, 17, 21})
    for (double beta : {0.0, 0.001, 0.01, 0.75, 1.0})
      for (double k : {0.0, 1e-6, 1e-5, 1.0, 2.0}) {
        const LrnParams lrn{size, 1e-4, beta, k, 1};
        tryDescriptor(concat("lrn size ", size, ", beta ", beta, ", k ", k), isForCudnn(lrn),
                      [&] { describe(lrn); });
      }
  const MaxPool2dParams overlapping{3, 3, 2, 2, 0, 0};
  for (int64_t size : {55, 27, 13}) {
    const int64_t out = (size - 3) / 2 + 1;
    tryDescriptor(concat("pooling of ", size), true, [&] {
      const Shape y = outputOf(describe(overlapping), describeNhwc(128, size, size, 96));
      CHECK(y == (Shape{128, out, out, 96}), "Expected another output but received ", y);
    });
  }
  tryDescriptor("pooling, padded", true, [&] {
    const Shape y = outputOf(describe(MaxPool2dParams{2, 3, 1, 2, 0, 1}), describeNhwc(1, 5, 4, 3));
    CHECK(y == (Shape{1, 4, 2, 3}), "Expected another output but received ", y);
  });
  tryDescriptor("pooling, stride 0", false, [] { describe(MaxPool2dParams{3, 3, 0, 2, 0, 0}); });
  tryDescriptor("pooling, kernel 0", false, [] { describe(MaxPool2dParams{0, 3, 2, 2, 0, 0}); });
  tryDescriptor("tensor without channels", false, [] { describeNhwc(1, 5, 4, 0); });
  tryDescriptor("tensor of 2^31 elements", false, [] { describeNhwc(1 << 21, 32, 32, 1); });
}

int run(const std::vector<std::string>& arguments) {
  // Before cuDNN's first call: its engines that compile at run time link with it.
  if (dlopen(arguments.at(0).c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) throw std::runtime_error(dlerror());
  tryDescriptors();
  const std::vector<Request> requests = readRequests();
  for (size_t i = 1; i < arguments.size(); ++i) {
    const std::string properties = contentOf(arguments[i]);
    const Conv2dPlanner planner(properties, capabilityOf(properties));
    for (const Request& request : requests) {
      const size_t refused = planner.refusals().size();
      std::cout << arguments[i] << '\t' << request.line << '\t';
      try {
        const auto plans = planner.plans(request.pass, request.shape, request.math, request.count);
        // As autotune finds again what it chose.
        const std::string last = plans.back()->name();
        const auto again = planner.named(last, request.pass, request.shape, request.math);
        CHECK(again && again->name() == last, "Expected a plan of the name ", last, " but received none");
        std::cout << plans.front()->name() << '\t' << plans.front()->workspaceBytes() << '\t' << plans.size()
                  << '\t' << whyNotBuilt(planner.refusals(), refused) << '\n';
      } catch (const Error& error) {
        std::cout << '\t' << oneLine(error.what()) << '\n';
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace nodecudnn

int main(int count, char** values) {
  try {
    return nodecudnn::run({values + 1, values + count});
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
