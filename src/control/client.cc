#include "src/control/client.h"

#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "src/base/error_text.h"
#include "src/control/beast.h"

namespace memfuse::control {
namespace {

constexpr size_t kMaxResponse = 64 << 20;

absl::Status Unanswered(const std::string& path, const beast::error_code& error) {
  const bool of_system = error.category() == boost::system::system_category();
  const std::string text = absl::StrCat(
      "the control socket ", path,
      " does not answer: ", of_system ? base::ErrorText(error.value()) : error.message());
  if (of_system && (error.value() == EACCES || error.value() == EPERM)) {
    return absl::PermissionDeniedError(text);
  }
  return absl::UnavailableError(text);
}

}  // namespace

absl::StatusOr<HttpResponse> Call(const std::string& path, const HttpRequest& request,
                                  absl::Duration timeout) {
  asio::io_context io(1);
  beast::basic_stream<Local> stream(io);
  http::request<http::string_body> message;
  message.version(11);
  message.method_string(request.method);
  message.target(request.query.empty() ? request.path : request.path + "?" + request.query);
  message.set(http::field::host, "memfuse");
  message.keep_alive(false);
  message.body() = request.body;
  message.prepare_payload();
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(kMaxResponse);
  beast::error_code result;
  try {
    const Local::endpoint endpoint(path);
    stream.expires_after(absl::ToChronoMilliseconds(timeout));
    stream.async_connect(endpoint, [&](beast::error_code error) {
      result = error;
      if (error) return;
      http::async_write(stream, message, [&](beast::error_code failed, size_t /*size*/) {
        // A server that refuses the request may close the connection before it has read it all.
        result = failed;
        http::async_read(stream, buffer, parser, [&](beast::error_code ended, size_t /*size*/) {
          if (parser.is_done()) {
            result = {};
          } else if (ended) {
            result = ended;
          }
        });
      });
    });
    io.run();
  } catch (const boost::system::system_error& error) {
    result = error.code();
  }
  if (result) return Unanswered(path, result);
  return HttpResponse{static_cast<int>(parser.get().result_int()), std::move(parser.get().body())};
}

}  // namespace memfuse::control
