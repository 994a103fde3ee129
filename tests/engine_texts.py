"""Text that serving engines wrote, cut to the lines that count, each with where it was published.

Numbers and wording are as published; labels and fields that nobody reads are left out.
"""

# vLLM, metrics of a server with DeepSeek-V4-Flash and five drafted tokens, captured from a live
# node and published in a test; that copy was cut behind position 3, and position 4 is restored here
# as what the others leave of the accepted tokens. Names as in vllm-project/vllm@ee4ceaa,
# vllm/v1/spec_decode/metrics.py.
VLLM_METRICS = """\
# HELP vllm:spec_decode_num_drafts_total Number of spec decoding drafts.
# TYPE vllm:spec_decode_num_drafts_total counter
vllm:spec_decode_num_drafts_total{engine="0",model_name="/models/v4-flash-0731"} 2.04363e+06
vllm:spec_decode_num_drafts_created{engine="0",model_name="/models/v4-flash-0731"} 1.785538e+09
vllm:spec_decode_num_draft_tokens_total{engine="0",model_name="/models/v4-flash-0731"} 1.0218118e+07
vllm:spec_decode_num_accepted_tokens_total{engine="0",model_name="/models/v4-flash-0731"} 7.268642e+06
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",model_name="/models/v4-flash-0731",position="0"} 1.883866e+06
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",model_name="/models/v4-flash-0731",position="1"} 1.732372e+06
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",model_name="/models/v4-flash-0731",position="2"} 1.489894e+06
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",model_name="/models/v4-flash-0731",position="3"} 1.204113e+06
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",model_name="/models/v4-flash-0731",position="4"} 958397.0
"""  # noqa: E501

# vLLM, two intervals of a log: noonghunna/club-3090, issue 105 (vLLM 0.20.1, six drafted tokens).
VLLM_LOG = """\
(APIServer pid=13026) INFO 05-08 16:25:09 [loggers.py:271] Engine 000: Avg prompt throughput: 2.5 tokens/s
(APIServer pid=13026) INFO 05-08 16:25:09 [metrics.py:101] SpecDecoding metrics: Mean acceptance length: 2.87, Accepted throughput: 48.90 tokens/s, Drafted throughput: 157.19 tokens/s, Accepted: 489 tokens, Drafted: 1572 tokens, Per-position acceptance rate: 0.740, 0.473, 0.309, 0.187, 0.099, 0.057, Avg Draft acceptance rate: 31.1%
(APIServer pid=13026) INFO 05-08 16:25:19 [metrics.py:101] SpecDecoding metrics: Mean acceptance length: 2.72, Accepted throughput: 45.49 tokens/s, Drafted throughput: 158.98 tokens/s, Accepted: 455 tokens, Drafted: 1590 tokens, Per-position acceptance rate: 0.728, 0.445, 0.275, 0.151, 0.075, 0.042, Avg Draft acceptance rate: 28.6%
"""  # noqa: E501

# vLLM, the order of fields in September 2025: vllm-project/vllm, pull request 24127.
VLLM_OLDER_LOG = (
    "(APIServer pid=2236552) INFO 09-09 11:51:35 [metrics.py:96] SpecDecoding metrics: Draft "
    "acceptance rate: 88.8%, Mean acceptance length: 5.44, Accepted throughput: 4.37 tokens/s, "
    "Drafted throughput: 4.92 tokens/s, Accepted: 262 tokens, Drafted: 295 tokens, Per-position "
    "acceptance rate: 0.983, 0.949, 0.915, 0.881, 0.712\n"
)

# vLLM, before positions were logged: vllm-project/vllm, pull request 15902.
VLLM_OLDEST_LOG = (
    "SpecDecoding metrics: Draft acceptance rate: 100.0%, Accepted: 66 tokens, Drafted: 66 tokens\n"
)

# vLLM, statistics of one request as its documentation shows them (fragment, no JSON):
# vllm-project/vllm@02cf515, docs/features/speculative_decoding/acceptance_metrics.md.
VLLM_REQUEST = """\
{
  "choices": [ ... ],
  "metrics": {
    "speculative_decoding": {
      "mean_acceptance_length": 1.2325581395348837,
      "draft_acceptance_rate": 0.07751937984496124,
      "acceptance_histogram": [39, 1, 0, 3],
      "num_spec_steps": 43,
      "num_accepted_draft_tokens": 10,
      "num_draft_tokens": 129,
      "num_spec_tokens": 3
    }
  }
}
"""

# SGLang, statistics of one request: sgl-project/sglang, pull request 33518.
SGLANG_REQUEST = """\
{"spec_accept_rate": 0.2930232558139535, "spec_accept_length": 2.4651162790697674,
 "spec_num_correct_drafts": 63, "spec_num_proposed_drafts": 215,
 "spec_verify_ct": 43, "spec_correct_drafts_histogram": [11, 14, 11, 4, 0, 3]}
"""

# SGLang, the same before the histogram was added: sgl-project/sglang, pull request 13754.
SGLANG_OLDER_REQUEST = (
    '{"meta_info":{"id":"cf5e164f23c14777ac8d07d61fd84509","completion_tokens":200,'
    '"spec_accept_rate":0.011702127659574468,"spec_accept_length":1.0638297872340425,'
    '"spec_verify_ct":188,"spec_accept_token_num":11,"spec_draft_token_num":940}}\n'
)

# SGLang 0.5.3, launch line and decode log: sgl-project/sglang, issue 11948.
SGLANG_LOG = """\
python3 -m sglang.launch_server --model Qwen3-8B --speculative-algorithm EAGLE3 \\
    --speculative-num-steps 3 \\
    --speculative-eagle-topk 1 \\
    --speculative-num-draft-tokens 4 \\
[2025-10-22 10:27:56 TP0] Prefill batch. #new-seq: 1, #new-token: 28, #cached-token: 0, token usage: 0.00, #running-req: 0, #queue-req: 0,
[2025-10-22 10:27:57 TP0] Decode batch. #running-req: 1, #token: 108, token usage: 0.00, accept len: 2.17, accept rate: 0.54, cuda graph: True, gen throughput (token/s): 0.39, #queue-req: 0,
[2025-10-22 10:27:57 TP0] Decode batch. #running-req: 1, #token: 186, token usage: 0.00, accept len: 1.95, accept rate: 0.49, cuda graph: True, gen throughput (token/s): 178.86, #queue-req: 0,
[2025-10-22 10:27:58 TP0] Decode batch. #running-req: 1, #token: 258, token usage: 0.00, accept len: 1.80, accept rate: 0.45, cuda graph: True, gen throughput (token/s): 165.41, #queue-req: 0,
"""  # noqa: E501

# SGLang, bench_serving: sgl-project/sglang, pull request 13376 (other lines left out).
SGLANG_BENCHMARK = """\
============ Serving Benchmark Result ============
Backend:                                 sglang
Concurrency:                             142.34
Accept length:                           5.86
"""

# llama.cpp, a request's log and the statistics behind it: ggml-org/llama.cpp, pull request 24536.
LLAMA_LOG = """\
0.06.895.999 I slot print_timing: id  1 | task 0 |       total time =    2596.83 ms /   276 tokens
0.06.896.015 I slot print_timing: id  1 | task 0 | draft acceptance = 0.64479 (  167 accepted /   259 generated), mean acceptance length =  2.92, acceptance rate per position = (0.805, 0.632, 0.483)
0.06.896.057 I statistics     draft-eagle3: #calls(b,g,a) =    1     87     87, #gen drafts =     87, #acc drafts =    70, #gen tokens =    259, #acc tokens =   167, #mean acc len = 2.92, #acc rate/pos = (0.805, 0.632, 0.483), dur(b,g,a) = 0.005, 325.555, 0.114 ms
"""  # noqa: E501

# llama.cpp, later builds: the request's line has no positions, the statistics (with -lv 4) have.
# From published logs of draft-mtp and of ngram-mod with draft-dflash, found by searching for the
# text; the search did not name the repositories.
LLAMA_LATER_LOG = """\
0.22.856.327 I slot print_timing: id  0 | task 0 | draft acceptance = 0.76049 (  308 accepted /   405 generated), mean len =  2.52
0.22.856.349 I spec common_specu: statistics        draft-mtp: #calls(b,g,a) =    1    203    203, #gen drafts =    203, #acc drafts =   172, #gen tokens =    405, #acc tokens =   308, #mean acc len = 2.52, #acc rate/pos = (0.847, 0.670), dur(b,g,a) = 0.004, 1014.965, 0.448 ms
"""  # noqa: E501
LLAMA_TWO_KINDS = """\
0.42.130.633 I spec common_specu: statistics        ngram-mod: #calls(b,g,a) =    4    542     31, #gen drafts =     31, #acc drafts =    28, #gen tokens =    920, #acc tokens =   527, #mean acc len = 18.00, #acc rate/pos = (0.903, 0.806), dur(b,g,a) = 0.688, 0.851, 0.021 ms
0.42.130.640 I spec common_specu: statistics     draft-dflash: #calls(b,g,a) =    4    511    511, #gen drafts =    511, #acc drafts =   390, #gen tokens =   2041, #acc tokens =   974, #mean acc len = 2.91, #acc rate/pos = (0.763, 0.526, 0.362, 0.254), dur(b,g,a) = 0.004, 3421.333, 0.148 ms
"""  # noqa: E501

# llama.cpp, May 2026, before positions: a published server log, found as those above.
LLAMA_OLDER_LOG = """\
draft acceptance rate = 0.98260 ( 1186 accepted /  1207 generated)
statistics mtp: #calls(b,g,a) = 1 861 690, #gen drafts = 690, #acc drafts = 690, #gen tokens = 1207, #acc tokens = 1186, dur(b,g,a) = 0.006, 3112.317, 0.287 ms
"""  # noqa: E501

# llama.cpp, timings of a response: ggml-org/llama.cpp, pull request 12603 (--draft-max 16).
LLAMA_TIMINGS = """\
{
  "prompt_n": 1,
  "predicted_n": 200,
  "predicted_per_second": 18.0462970532382,
  "draft_n": 347,
  "draft_n_accepted": 65
}
"""

# llama.cpp, metrics text in the scheme of ggml-org/llama.cpp, pull request 26389, with the numbers
# that the tests of audiagentic/bigcherry publish.
LLAMA_METRICS = """\
# HELP llamacpp:spec_decode_num_draft_tokens_total Speculative: Total draft tokens generated
# TYPE llamacpp:spec_decode_num_draft_tokens_total counter
llamacpp:spec_decode_num_draft_tokens_total 426
llamacpp:spec_decode_num_accepted_tokens_total 168
llamacpp:spec_decode_num_drafts_total 86
llamacpp:spec_decode_num_accepted_tokens_per_pos_total{position="0"} 86
llamacpp:spec_decode_num_accepted_tokens_per_pos_total{position="1"} 55
llamacpp:spec_decode_num_accepted_tokens_per_pos_total{position="2"} 21
llamacpp:spec_decode_num_accepted_tokens_per_pos_total{position="3"} 6
llamacpp:spec_decode_num_accepted_tokens_per_pos_total{position="4"} 0
llamacpp:n_decode_total 999
"""
