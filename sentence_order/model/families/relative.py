"""Encoders that add to attention a term for the distance of two tokens, and compute it by code of their own.

The distance is that of their places within a sentence. Two tokens of different sentences get the mean of the terms for
keys far ahead and far behind, which tells nothing of the order in which the sentences are given.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.models.deberta_v2.modeling_deberta_v2 import DisentangledSelfAttention, make_log_bucket_position
from transformers.models.mpnet.modeling_mpnet import MPNetSelfAttention

from sentence_order.model.attention import attend, unpack_heads
from sentence_order.model.families.family import Family, use_class
from sentence_order.model.segments import Distances, Reading, Segments
from sentence_order.runtime.device import to_device

FAR = 2**20  # farther than any distance that these encoders distinguish


class MPNet(Family):
    """Song et al. 2020, "MPNet": absolute positions, and a bias for each bucket of distances that all layers share."""

    def prepare(self, encoder: PreTrainedModel) -> None:
        use_class(encoder, MPNetSelfAttention, SegmentedMPNetAttention)

    def first_position(self, config: PreTrainedConfig) -> int:
        return 2  # behind the padding index, which its embeddings fix at 1

    def positions(self, encoder: PreTrainedModel, reading: Reading, states_PH: Tensor) -> Tensor:
        """The bias of every two tokens of each segment, (N, A, L, L); N is 1 where all are alike."""
        distances, bucket = reading.distances, encoder.encoder.relative_position_bucket
        bucket_K = to_device(bucket(_with_ends(distances.distance_K)).numpy(), states_PH.device)
        table_KA = encoder.encoder.relative_attention_bias(bucket_K)
        return nn.functional.embedding(distances.row_NLL, _mean_of_ends(table_KA)).permute(0, 3, 1, 2)

    def position_arguments(self, config: PreTrainedConfig, number: int, positions: Any) -> dict[str, Any]:
        return {"position_bias": positions}


class SegmentedMPNetAttention(MPNetSelfAttention):
    """MPNet's attention within segments of packed tokens."""

    def forward(
        self, hidden_states: Tensor, attention_mask: Segments, position_bias: Tensor, output_attentions: bool = False
    ) -> tuple[Tensor]:
        segments, heads = attention_mask, self.num_attention_heads
        q_NALV, k_NALV, v_NALV = (
            split_heads(project(hidden_states), heads, segments) for project in (self.q, self.k, self.v)
        )
        dropout = self.dropout.p if self.training else 0.0
        return (self.o(attend(q_NALV, k_NALV, v_NALV, segments, dropout, bias_NALL=position_bias).flatten(2)),)


class DebertaV2(Family):
    """He et al. 2021, "DeBERTa" and "DeBERTaV3": scores of content and relative position, in both directions."""

    def prepare(self, encoder: PreTrainedModel) -> None:
        use_class(encoder, DisentangledSelfAttention, SegmentedDisentangledAttention)

    def find_blocks(self, encoder: PreTrainedModel) -> list[list[nn.Module]]:
        blocks = super().find_blocks(encoder)
        if encoder.encoder.conv is not None:
            blocks[1].append(encoder.encoder.conv)
        return blocks

    def positions(
        self, encoder: PreTrainedModel, reading: Reading, states_PH: Tensor
    ) -> tuple[Distances, Tensor] | None:
        """Distances, and the embedding of each of their rows, (K, H); None if there are no relative positions."""
        own = encoder.encoder
        if not own.relative_attention:
            return None
        size = len(own.rel_embeddings.weight) // 2
        # The ends as far as training reached: the row beyond, which longer sentences read, it may never have seen.
        buckets, far = own.position_buckets, own.max_relative_positions
        ahead_K = -_with_ends(reading.distances.distance_K, far - 1)  # of the query, which is how DeBERTa counts
        if buckets > 0:
            ahead_K = make_log_bucket_position(ahead_K, buckets, far).long()
        row_K = to_device((ahead_K.clamp(-size, size - 1) + size).numpy(), states_PH.device)
        return reading.distances, _mean_of_ends(own.get_rel_embedding()[row_K])

    def position_arguments(self, config: PreTrainedConfig, number: int, positions: Any) -> dict[str, Any]:
        distances, table_KH = positions or (None, None)
        return {"relative_pos": distances, "rel_embeddings": table_KH}

    def run_layer(
        self,
        encoder: PreTrainedModel,
        layer: nn.Module,
        number: int,
        states_PH: Tensor,
        reading: Reading,
        positions: Any,
    ) -> Tensor:
        output_PH = super().run_layer(encoder, layer, number, states_PH, reading, positions)
        if number > 0 or encoder.encoder.conv is None:
            return output_PH
        # The largest ones of DeBERTa-v2 look at neighbouring tokens, here those of the same sentence.
        sentences = reading.spans
        inputs_NLH, outputs_NLH = sentences.unpack(states_PH), sentences.unpack(output_PH)
        return sentences.pack(encoder.encoder.conv(inputs_NLH, outputs_NLH, sentences.mask_NL.long()))


class SegmentedDisentangledAttention(DisentangledSelfAttention):
    """DeBERTa's attention within segments of packed tokens."""

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Segments,
        output_attentions: bool = False,
        query_states: None = None,
        relative_pos: Distances | None = None,
        rel_embeddings: Tensor | None = None,
    ) -> tuple[Tensor, None]:
        segments, heads = attention_mask, self.num_attention_heads
        q_NALV, k_NALV, v_NALV = (
            split_heads(project(hidden_states), heads, segments)
            for project in (self.query_proj, self.key_proj, self.value_proj)
        )
        scaling = (q_NALV.shape[-1] * (1 + ("c2p" in self.pos_att_type) + ("p2c" in self.pos_att_type))) ** -0.5
        bias_NALL = None
        if relative_pos is not None and rel_embeddings is not None:
            bias_NALL = scaling * self._position_scores(q_NALV, k_NALV, relative_pos, self.pos_dropout(rel_embeddings))
        dropout = self.dropout.p if self.training else 0.0
        return attend(q_NALV, k_NALV, v_NALV, segments, dropout, scaling, bias_NALL=bias_NALL).flatten(2), None

    def _position_scores(self, q_NALV: Tensor, k_NALV: Tensor, distances: Distances, table_KH: Tensor) -> Any:
        """Of each query with the position of each key, and of each key with the position of each query."""
        row_NALL = distances.row_NLL[:, None].expand(*q_NALV.shape[:2], -1, -1)
        scores_NALL: Any = q_NALV.new_zeros(())
        if "c2p" in self.pos_att_type:
            project = self.key_proj if self.share_att_key else self.pos_key_proj
            scores_NALL = _gather(q_NALV, project(table_KH), row_NALL)
        if "p2c" in self.pos_att_type:
            project = self.query_proj if self.share_att_key else self.pos_query_proj
            scores_NALL = scores_NALL + _gather(k_NALV, project(table_KH), row_NALL.mT).mT
        return scores_NALL


def split_heads(states_1PH: Tensor, heads: int, segments: Segments) -> Tensor:
    """(1, P, A * V) -> (N, A, L, V)."""
    return unpack_heads(states_1PH.unflatten(-1, (heads, -1)).transpose(1, 2), segments, heads)


def _gather(x_NALV: Tensor, table_KH: Tensor, row_NALL: Tensor) -> Tensor:
    """The products of each token with those rows of a table that its distances from the others name."""
    table_AVK = table_KH.unflatten(-1, (x_NALV.shape[1], -1)).permute(1, 2, 0)
    return (x_NALV @ table_AVK).gather(-1, row_NALL)


def _with_ends(distance_K: Tensor, far: int = FAR) -> Tensor:
    """Distances, and those of a key far behind and far ahead."""
    return torch.cat([distance_K, torch.tensor([-far, far])])


def _mean_of_ends(table_KX: Tensor) -> Tensor:
    """A table with one row, their mean, in place of the last two."""
    return torch.cat([table_KX[:-2], table_KX[-2:].mean(0, keepdim=True)])
