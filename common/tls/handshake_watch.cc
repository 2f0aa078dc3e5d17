#include "common/tls/handshake_watch.h"

#include <openssl/ssl.h>

#include <set>
#include <utility>

#include "common/sync/mutex.h"

namespace mellow::tls {

// OpenSSL tells whoever reserves a slot in its objects when one is made and when one goes. So every
// new context gets a callback for the messages of its connections, which leaves a mark in each that
// a server has begun, and takes it away when the handshake is over.
struct HandshakeWatches {
  Mutex mutex;
  std::set<const HandshakeWatch*> all ABSL_GUARDED_BY(mutex);

  static HandshakeWatches& Get() {
    static auto* watches = new HandshakeWatches();  // connections may end until the process does
    return *watches;
  }

  // The place of the mark in a connection.
  static int Slot() {
    static const int slot = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, &OnConnectionFreed);
    return slot;
  }

  static void ObserveNewContexts() {
    static const int slot = SSL_CTX_get_ex_new_index(0, nullptr, &OnNewContext, nullptr, nullptr);
    (void)slot;
    (void)Slot();
  }

  static void OnNewContext(void* context, void*, CRYPTO_EX_DATA*, int, long, void*) {
    SSL_CTX_set_msg_callback(static_cast<SSL_CTX*>(context), &OnMessage);
  }

  static void OnMessage(int sent, int, int type, const void* data, size_t size, SSL* ssl, void*) {
    if (!SSL_is_server(ssl)) return SSL_set_msg_callback(ssl, nullptr);
    static char mark;
    const bool finished = sent == 0 && type == SSL3_RT_HANDSHAKE && size > 0 &&
                          *static_cast<const unsigned char*>(data) == SSL3_MT_FINISHED;
    if (!finished) {
      SSL_set_ex_data(ssl, Slot(), &mark);
      return;
    }
    // The client's last message. Without ALPN there is no HTTP/2 over TLS (RFC 9113, 3.2).
    SSL_set_msg_callback(ssl, nullptr);
    const unsigned char* protocol = nullptr;
    unsigned int protocol_size = 0;
    SSL_get0_alpn_selected(ssl, &protocol, &protocol_size);
    if (protocol_size > 0) SSL_set_ex_data(ssl, Slot(), nullptr);
  }

  static void OnConnectionFreed(void*, void* mark, CRYPTO_EX_DATA*, int, long, void*) {
    if (mark == nullptr) return;
    HandshakeWatches& watches = Get();
    MutexLock lock(&watches.mutex);
    for (const HandshakeWatch* watch : watches.all) watch->failed_();
  }
};

HandshakeWatch::HandshakeWatch(std::function<void()> failed) : failed_(std::move(failed)) {
  HandshakeWatches& watches = HandshakeWatches::Get();
  {
    MutexLock lock(&watches.mutex);
    watches.all.insert(this);
  }
  HandshakeWatches::ObserveNewContexts();
}

HandshakeWatch::~HandshakeWatch() {
  HandshakeWatches& watches = HandshakeWatches::Get();
  MutexLock lock(&watches.mutex);
  watches.all.erase(this);
}

}  // namespace mellow::tls
