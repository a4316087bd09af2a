// oneDNN: a matmul of u8 by s8 with scales and a bias, one thread. Source and weights are reordered into
// the layout that it prefers, once and untimed. ONEDNN_MAX_CPU_ISA says what it may use.
//
//	open onednn f32|u8 M N K    data: source (M,K) u8, weights (N,K) s8, scales (N) f32, bias (N) f32
#include "peers.hpp"

#ifdef NO_ONEDNN
std::unique_ptr<Case> open_onednn(Args const &, Payload &) { throw std::runtime_error("oneDNN was not found"); }
#else

#include <oneapi/dnnl/dnnl.hpp>
#include <omp.h>
#include <unordered_map>

using namespace dnnl;

namespace {

struct Product final : Case {
    engine eng{engine::kind::cpu, 0};
    stream s{eng};
    primitive prim;
    std::unordered_map<int, memory> args;
    memory::data_type type;
    void run(long calls) override {
        for (long i = 0; i < calls; i++) {
            prim.execute(s, args);
            s.wait();
        }
    }
    std::vector<double> result() override {
        auto &m = args.at(DNNL_ARG_DST);
        std::size_t n = m.get_desc().get_dims()[0] * m.get_desc().get_dims()[1];
        if (type == memory::data_type::u8) {
            auto p = static_cast<std::uint8_t *>(m.get_data_handle());
            return {p, p + n};
        }
        auto p = static_cast<float *>(m.get_data_handle());
        return {p, p + n};
    }
};

} // namespace

std::unique_ptr<Case> open_onednn(Args const &args, Payload &data) {
    omp_set_num_threads(1);
    using type = memory::data_type;
    using tag = memory::format_tag;
    memory::dim m = std::stol(args.at(2)), n = std::stol(args.at(3)), k = std::stol(args.at(4));
    auto c = std::make_unique<Product>();
    c->type = args.at(1) == "u8" ? type::u8 : type::f32;
    memory src({{m, k}, type::u8, tag::ab}, c->eng, data.of<std::uint8_t>(m * k));
    memory weights({{k, n}, type::s8, tag::ba}, c->eng, data.of<std::int8_t>(k * n));
    memory scales({{n}, type::f32, tag::a}, c->eng, data.of<float>(n));
    memory bias({{1, n}, type::f32, tag::ab}, c->eng, data.of<float>(n));

    primitive_attr attr;
    attr.set_scales_mask(DNNL_ARG_WEIGHTS, 1 << 1);
    matmul::primitive_desc desc(c->eng, {{m, k}, type::u8, tag::any}, {{k, n}, type::s8, tag::any},
                                {{1, n}, type::f32, tag::ab}, {{m, n}, c->type, tag::ab}, attr);
    auto reordered = [&](memory &from, memory::desc const &to) {
        memory r(to, c->eng);
        reorder(from, r).execute(c->s, from, r);
        c->s.wait();
        return r;
    };
    c->args = {{DNNL_ARG_SRC, reordered(src, desc.src_desc())},
               {DNNL_ARG_WEIGHTS, reordered(weights, desc.weights_desc())},
               {DNNL_ARG_BIAS, bias},
               {DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS, scales},
               {DNNL_ARG_DST, memory(desc.dst_desc(), c->eng)}};
    c->prim = matmul(desc);
    c->code = desc.impl_info_str();
    auto v = dnnl_version();
    c->code += " of " + std::to_string(v->major) + "." + std::to_string(v->minor);
    return c;
}
#endif
