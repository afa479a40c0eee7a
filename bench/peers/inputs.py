"""One batch's tensors: random queries, keys and values of several layers, in every form that a peer takes them."""

import torch

DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16}
SLOTS = ("first", "middle", "last")  # output buffers: of the first layer, of those between, of the last one


def ceil_div(a, b):
    return (a + b - 1) // b


class Inputs:
    """All layers share one page table, as in a serving engine. Forms are made when they are first asked for."""

    def __init__(self, problem, batch, num_layers, device, seed=1):
        self.problem, self.batch, self.num_layers, self.device = problem, batch, num_layers, torch.device(device)
        generator = torch.Generator(device=self.device).manual_seed(seed)
        dtype = DTYPES[problem.dtype]
        shape = (num_layers, 2, batch.total_tokens, problem.num_kv_heads, problem.head_dim)
        self.kv = torch.empty(shape, dtype=dtype, device=self.device)  # tokens of a request together, requests in order
        for layer in self.kv:
            for part in layer:
                part.normal_(generator=generator)
        self.q = torch.empty(batch.num_tokens, problem.num_qo_heads, problem.head_dim, dtype=dtype, device=self.device)
        self.q.normal_(generator=generator)
        self.outputs = {slot: torch.full_like(self.q, float("nan")) for slot in SLOTS}
        self.sinks = torch.randn(problem.num_qo_heads, generator=generator, device=self.device) if problem.has_sinks else None
        self._make_tables(generator)
        self._pages = self._dense = None

    def _make_tables(self, generator):
        page_size, counts = self.problem.page_size, [ceil_div(s, self.problem.page_size) for s in self.batch.kv_len]
        self.num_pages, self.max_pages = sum(counts), max(counts)
        order = torch.randperm(self.num_pages, generator=generator, device=self.device, dtype=torch.int64)
        table = torch.zeros(self.batch.num_seqs, self.max_pages, dtype=torch.int32, device=self.device)
        slots, begin = [], 0
        for seq, (count, kv_len) in enumerate(zip(counts, self.batch.kv_len)):
            pages = order[begin:begin + count]
            table[seq, :count] = pages.to(torch.int32)
            tokens = torch.arange(kv_len, device=self.device)
            slots.append(pages[tokens // page_size] * page_size + tokens % page_size)
            begin += count
        self.page_table, self.slots, self.page_counts, self.page_order = table, torch.cat(slots), counts, order.to(torch.int32)
        self.query_indptr = self._indptr(self.batch.query_len)
        self.kv_indptr = self._indptr(self.batch.kv_len)
        self.kv_len = torch.tensor(self.batch.kv_len, dtype=torch.int32, device=self.device)

    def _indptr(self, lengths):
        ends = torch.tensor((0, *lengths), dtype=torch.int64).cumsum(0)
        return ends.to(torch.int32).to(self.device)

    def pages(self):
        """K and V [num_layers, num_pages, page_size, num_kv_heads, head_dim]."""
        if self._pages is None:
            p = self.problem
            shape = (self.num_layers, self.num_pages, p.page_size, p.num_kv_heads, p.head_dim)
            self._pages = tuple(torch.zeros(shape, dtype=self.kv.dtype, device=self.device) for _ in range(2))
            for layer in range(self.num_layers):
                for part, pages in enumerate(self._pages):
                    pages[layer].view(-1, p.num_kv_heads, p.head_dim)[self.slots] = self.kv[layer, part]
        return self._pages

    def dense(self):
        """K and V [num_layers, num_seqs, num_kv_heads, kv_len, head_dim] of a uniform batch."""
        if self._dense is None:
            p, b = self.problem, self.batch
            by_request = self.kv.view(self.num_layers, 2, b.num_seqs, b.kv_len[0], p.num_kv_heads, p.head_dim)
            by_head = by_request.transpose(3, 4).contiguous()
            self._dense = (by_head[:, 0], by_head[:, 1])
        return self._dense

    def dense_q(self):
        """Queries [num_seqs, num_qo_heads, query_len, head_dim] of a uniform batch."""
        p, b = self.problem, self.batch
        return self.q.view(b.num_seqs, b.query_len[0], p.num_qo_heads, p.head_dim).transpose(1, 2).contiguous()

    def sampled_rows(self, count=24):
        """(token, head) pairs: the first and the last token, and random ones."""
        generator = torch.Generator().manual_seed(7)
        tokens = torch.randint(self.batch.num_tokens, (count,), generator=generator).tolist()
        tokens[0], tokens[1] = 0, self.batch.num_tokens - 1
        return [(t, int(torch.randint(self.problem.num_qo_heads, (1,), generator=generator))) for t in tokens]


def reference_row(inputs, layer, token, head):
    """Attention of one row in float64."""
    p, b = inputs.problem, inputs.batch
    seq = begin = 0
    kv_begin = 0
    while token >= begin + b.query_len[seq]:
        begin += b.query_len[seq]
        kv_begin += b.kv_len[seq]
        seq += 1
    position = b.kv_len[seq] - b.query_len[seq] + token - begin
    first = max(0, position + 1 - p.window) if p.window else 0
    kv_head = head // (p.num_qo_heads // p.num_kv_heads)
    k, v = (inputs.kv[layer, part, kv_begin + first:kv_begin + position + 1, kv_head].double() for part in range(2))
    scores = k @ inputs.q[token, head].double() * p.sm_scale
    if inputs.sinks is not None:
        scores = torch.cat([scores, inputs.sinks[head].double().view(1)])
        v = torch.cat([v, torch.zeros_like(v[:1])])
    return torch.softmax(scores, 0) @ v


def worst_error(inputs, layer, output):
    """Worst relative error of sampled rows of output [num_tokens, num_qo_heads, head_dim]; infinite where it is not finite."""
    worst = 0.0
    for token, head in inputs.sampled_rows():
        expected = reference_row(inputs, layer, token, head)
        error = (output[token, head].double() - expected).norm() / expected.norm()
        worst = max(worst, float(error) if torch.isfinite(error) else float("inf"))
    return worst
