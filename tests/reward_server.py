"""A server of one tiny model in the shapes of vLLM's pooling endpoints and of OpenRLHF's reward server, for tests.

On 127.0.0.1 in a thread. The model and its tokenizer are transformers' own, called once a text, as vLLM equals them.

Source: ``protocol.py`` under ``vllm/entrypoints/pooling`` of vLLM; ``openrlhf/cli/serve_rm.py`` of OpenRLHF.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.server_thread import ServerThread

#: What a request gets: the endpoint and the body come in, an answer goes out.
Answer = Callable[[str, dict[str, Any]], Response]


class RewardServer(ServerThread):
    """Serves ``/classify``, ``/pooling``, ``/score`` and ``/get_reward`` as long as its ``with`` block lasts.

    Args:
        answer: what a request gets, such as :class:`ServedModel`. May be replaced at any time.
        key: the key that it wants, or none.
    """

    def __init__(self, answer: Answer, key: str | None = None) -> None:
        self.answer, self.key = answer, key
        self.requests: list[tuple[str, dict[str, Any]]] = []
        names = ("classify", "pooling", "score", "get_reward")
        super().__init__(Starlette(routes=[Route(f"/{name}", self._asked, methods=["POST"]) for name in names]))
        self.url = self.origin

    async def _asked(self, request: Request) -> Response:
        given = request.headers.get("authorization", "")
        if self.key is not None and given != f"Bearer {self.key}":
            return JSONResponse({"error": {"message": f"Incorrect API key provided: {given}"}}, 401)
        endpoint, body = request.url.path.strip("/"), json.loads(await request.body())
        self.requests.append((endpoint, body))
        return self.answer(endpoint, body)


class ServedModel:
    """A sequence classifier behind the endpoints.

    Args:
        folder: of the model and its tokenizer.
        heeds: the field by which it is told whether to apply an activation; None for a server that knows none.
        longest: tokens that its model reads.
        each_token: ``/pooling`` gives outputs for each token of a text, the last one's the model's.
    """

    def __init__(
        self, folder: str, heeds: str | None = "use_activation", longest: int = 64, each_token: bool = False
    ) -> None:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
        self.heeds, self.longest, self.each_token = heeds, longest, each_token

    def __call__(self, endpoint: str, body: dict[str, Any]) -> Response:
        """Answer a request."""
        if endpoint == "get_reward":
            # OpenRLHF's texts are whole: its tokenizer adds nothing to them.
            rewards = [self._logits({"text": text, "add_special_tokens": False})[0] for text in body["query"]]
            return JSONResponse({"rewards": rewards, "scores": rewards, "extra_logs": {"dummy_scores": rewards}})
        try:
            rows = [self._activated(self._logits(given, body), body) for given in self._texts(endpoint, body)]
        except OverflowError as error:
            return JSONResponse({"error": {"message": str(error), "type": "BadRequestError", "code": 400}}, 400)
        data: list[dict[str, Any]] = []
        for index, row in enumerate(rows):
            match endpoint:
                case "classify":
                    label = f"LABEL_{row.index(max(row))}"
                    data.append({"index": index, "label": label, "probs": row, "num_classes": len(row)})
                case "pooling":
                    outputs = [[0.0] * len(row), row] if self.each_token else row
                    data.append({"index": index, "object": "pooling", "data": outputs})
                case "score":
                    data.append({"index": index, "object": "score", "score": row[0]})
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        data.reverse()  # an order is not promised
        return JSONResponse(
            {"id": "x", "object": "list", "created": 0, "model": body["model"], "data": data, "usage": usage}
        )

    def _texts(self, endpoint: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        if endpoint == "score":
            pairs = zip(body["text_1"], body["text_2"], strict=True)
            return [{"text": first, "text_pair": second} for first, second in pairs]
        if "messages" in body:
            chat = self.tokenizer.apply_chat_template(body["messages"], tokenize=False)
            return [{"text": chat, "add_special_tokens": False}]
        return [{"text": text, "add_special_tokens": body.get("add_special_tokens", True)} for text in body["input"]]

    def _logits(self, given: Mapping[str, Any], body: Mapping[str, Any] | None = None) -> list[float]:
        import torch

        most = (body or {}).get("truncate_prompt_tokens")
        cut = {"truncation": True, "max_length": self.longest if most == -1 else most} if most else {}
        self.tokenizer.truncation_side = (body or {}).get("truncation_side", "right")
        encoded = self.tokenizer(**given, **cut, return_tensors="pt", verbose=False)
        if (length := encoded["input_ids"].shape[1]) > self.longest:
            raise OverflowError(
                f"This model's maximum context length is {self.longest} tokens. However, you requested {length} tokens."
            )
        with torch.inference_mode():
            return [float(logit) for logit in self.model(**encoded).logits[0].double()]

    def _activated(self, logits: list[float], body: Mapping[str, Any]) -> list[float]:
        import numpy as np

        wanted = body.get(self.heeds, True) if self.heeds else True
        if not wanted:
            return logits
        if len(logits) == 1:
            return [float(1 / (1 + np.exp(-logits[0])))]
        shares = np.exp(np.array(logits) - max(logits))
        return [float(share) for share in shares / shares.sum()]
