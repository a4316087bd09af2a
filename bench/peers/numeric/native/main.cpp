// The peers: measures other libraries on request, so that a program in Go can take turns with them
// without being linked to them. Requests are lines on stdin, answers lines on stdout:
//
//	open LIBRARY ARGUMENTS...   and the data behind the line    ->  ok CODE
//	time CASE CALLS             CASE counts opened ones from 0  ->  ok NANOSECONDS of a call
//	result CASE                                                 ->  ok NUMBERS...
//
// Whatever fails is answered with "error TEXT". The order and size of the data is said where a library's
// cases are opened.
#include "peers.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>

namespace {

class Stdin final : public Payload {
  public:
    void *take(std::size_t bytes) override {
        void *p = std::aligned_alloc(64, (bytes + 127) / 64 * 64); // kept until the program ends
        if (!p || !std::cin.read(static_cast<char *>(p), static_cast<std::streamsize>(bytes)))
            std::exit(1); // the pipe is broken
        return p;
    }
};

double nanoseconds(Case &c, long calls) {
    c.run(calls / 10 + 1);
    auto start = std::chrono::steady_clock::now();
    c.run(calls);
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / calls;
}

std::unique_ptr<Case> open(Args const &args, Payload &data) {
    if (args.at(0) == "simsimd")
        return open_simsimd(args, data);
    if (args.at(0) == "usearch")
        return open_usearch(args, data);
    if (args.at(0) == "onednn")
        return open_onednn(args, data);
    throw std::runtime_error("no library " + args[0]);
}

} // namespace

int main() {
    std::ios::sync_with_stdio(false);
    std::vector<std::unique_ptr<Case>> cases;
    Stdin data;
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        Args args;
        for (std::string w; words >> w;)
            args.push_back(w);
        std::ostringstream answer;
        answer.precision(17);
        try {
            std::string verb = args.at(0);
            args.erase(args.begin());
            if (verb == "open") {
                cases.push_back(open(args, data));
                answer << "ok " << cases.back()->code;
            } else if (verb == "time") {
                answer << "ok " << nanoseconds(*cases.at(std::stoul(args.at(0))), std::stol(args.at(1)));
            } else if (verb == "result") {
                Case &c = *cases.at(std::stoul(args.at(0)));
                c.run(1);
                answer << "ok";
                for (double v : c.result())
                    answer << ' ' << v;
            } else {
                throw std::runtime_error("no request " + verb);
            }
        } catch (std::exception const &e) {
            answer.str("");
            answer << "error " << e.what();
        }
        std::cout << answer.str() << std::endl;
    }
}
