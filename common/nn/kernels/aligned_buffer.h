#ifndef MELLOW_COMMON_NN_KERNELS_ALIGNED_BUFFER_H_
#define MELLOW_COMMON_NN_KERNELS_ALIGNED_BUFFER_H_

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace mellow::nn::kernels {

// Uninitialized memory, aligned for any vector; large ones sit on huge pages where the system gives
// them, because streaming gigabytes of weights through 4 KiB pages spends its time in the TLB.
// Movable. Throws std::bad_alloc like any container.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  explicit AlignedBytes(size_t bytes) : size_(bytes) {
    if (bytes == 0) return;
    const bool large = bytes >= kHugePage;
    void* data = nullptr;
    if (posix_memalign(&data, large ? kHugePage : 64, bytes) != 0) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
    // Advice for the whole huge pages of it: its failure changes nothing.
    if (large) madvise(data, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
    data_.reset(data);
  }

  void* data() { return data_.get(); }
  const void* data() const { return data_.get(); }
  size_t size() const { return size_; }

  // Makes the contents undefined, and lets the system take pages of it until they are written again
  // if it needs them: fresh pages would have to be cleared first.
  void Discard() {
#ifdef MADV_FREE
    if (size_ >= kHugePage) madvise(data_.get(), size_ / kHugePage * kHugePage, MADV_FREE);
#endif
  }

 private:
  static constexpr size_t kHugePage = size_t{2} << 20;
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  std::unique_ptr<void, Free> data_;
  size_t size_ = 0;
};

// Scratch floats that grow and are never copied.
class FloatBuffer {
 public:
  FloatBuffer() = default;
  explicit FloatBuffer(size_t count) { Reserve(count); }

  // Room for `count` floats; what was there is lost when it grows.
  float* Reserve(size_t count) {
    if (bytes_.size() < count * sizeof(float)) bytes_ = AlignedBytes(count * sizeof(float));
    return data();
  }
  float* data() { return static_cast<float*>(bytes_.data()); }
  const float* data() const { return static_cast<const float*>(bytes_.data()); }
  void Discard() { bytes_.Discard(); }

 private:
  AlignedBytes bytes_;
};

}  // namespace mellow::nn::kernels

#endif  // MELLOW_COMMON_NN_KERNELS_ALIGNED_BUFFER_H_
