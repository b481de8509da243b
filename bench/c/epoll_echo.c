/* A bare epoll echo server, the yardstick for crates/ferrio-engine/examples/echo.rs.
 *
 * What a careful C programmer writes when speed is all: level-triggered reading (a reply costs recv and
 * send, and no epoll_ctl), one buffer for all connections, EPOLLOUT only while a peer does not take its
 * bytes, nothing allocated for a connection until then. No timers, no other threads, no ready queue.
 *
 *   cc -O2 -o epoll_echo epoll_echo.c && ./epoll_echo [PORT]
 *
 * Prints the address it listens on; ends on SIGINT and SIGTERM.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_BYTES = 64 * 1024, EVENTS = 512 };

/* What a peer has not taken yet. While there is any, its connection is not read from. */
struct connection {
	int fd;
	char *rest;
	size_t begin, end;
};

static int epoll_fd;
static char buffer[BUFFER_BYTES];

static void die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static void watch(int op, int fd, uint32_t events, void *data)
{
	struct epoll_event event = { .events = events, .data.ptr = data };
	if (epoll_ctl(epoll_fd, op, fd, &event) < 0)
		die("epoll_ctl");
}

static void drop(struct connection *connection)
{
	close(connection->fd); /* which takes it out of the epoll set */
	free(connection->rest);
	free(connection);
}

static void accept_all(int listener)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno == EAGAIN)
				return;
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			die("accept4");
		}
		int one = 1;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		struct connection *connection = calloc(1, sizeof *connection);
		if (!connection)
			die("calloc");
		connection->fd = fd;
		watch(EPOLL_CTL_ADD, fd, EPOLLIN, connection);
	}
}

/* Returns how much of the data was sent, or -1 if the connection is lost. */
static ssize_t send_some(int fd, const char *data, size_t size)
{
	for (;;) {
		ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
		if (sent >= 0)
			return sent;
		if (errno == EAGAIN)
			return 0;
		if (errno != EINTR)
			return -1;
	}
}

static void on_readable(struct connection *connection)
{
	ssize_t count = recv(connection->fd, buffer, sizeof buffer, 0);
	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (count <= 0) {
		drop(connection);
		return;
	}
	ssize_t sent = send_some(connection->fd, buffer, (size_t)count);
	if (sent < 0) {
		drop(connection);
	} else if (sent < count) {
		connection->begin = 0;
		connection->end = (size_t)(count - sent);
		connection->rest = malloc(connection->end);
		if (!connection->rest)
			die("malloc");
		memcpy(connection->rest, buffer + sent, connection->end);
		watch(EPOLL_CTL_MOD, connection->fd, EPOLLOUT, connection);
	}
}

static void on_writable(struct connection *connection)
{
	ssize_t sent = send_some(connection->fd, connection->rest + connection->begin,
				 connection->end - connection->begin);
	if (sent < 0) {
		drop(connection);
		return;
	}
	connection->begin += (size_t)sent;
	if (connection->begin == connection->end) {
		free(connection->rest);
		connection->rest = NULL;
		watch(EPOLL_CTL_MOD, connection->fd, EPOLLIN, connection);
	}
}

int main(int argc, char **argv)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1;
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof address;
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
	    bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
	    listen(listener, 1024) < 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &size) < 0)
		die("listening");

	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	int signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (signal_fd < 0 || epoll_fd < 0)
		die("setting up");
	watch(EPOLL_CTL_ADD, listener, EPOLLIN, &listener);
	watch(EPOLL_CTL_ADD, signal_fd, EPOLLIN, &signal_fd);
	printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
	fflush(stdout);

	struct epoll_event events[EVENTS];
	for (;;) {
		int count = epoll_wait(epoll_fd, events, EVENTS, -1);
		if (count < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr == &listener)
				accept_all(listener);
			else if (events[i].data.ptr == &signal_fd)
				return EXIT_SUCCESS;
			else if (events[i].events & EPOLLOUT)
				on_writable(events[i].data.ptr);
			else
				on_readable(events[i].data.ptr);
		}
	}
}
