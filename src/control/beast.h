// The names of Boost.Asio and Boost.Beast that the server and the client of the control socket use.
// Not for other headers: the includes are large.

#ifndef MEMFUSE_SRC_CONTROL_BEAST_H_
#define MEMFUSE_SRC_CONTROL_BEAST_H_

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

namespace memfuse::control {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
// A Unix socket or a TCP socket.
using Stream = asio::generic::stream_protocol;
using Local = asio::local::stream_protocol;

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_BEAST_H_
