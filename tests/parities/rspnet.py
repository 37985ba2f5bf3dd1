"""RSPNet's loss: the clips at their speeds, both terms, the gradient, the queue."""

import numpy as np
from keras import ops

from keras_vssl.layers.queue import MemoryQueue
from keras_vssl.losses.contrastive import unit
from keras_vssl.tasks.pretext.rspnet import at_speeds, discrimination_and_ranking
from tests.backends import to_numpy, value_and_grad


def outputs(meta, weights, inputs, expected):
    c = meta["config"]
    queue = np.ascontiguousarray(weights["queue"].T)
    query, key = (np.moveaxis(inputs[name], 1, -1) for name in ("im_q", "im_k"))  # B T H W C
    normal = np.zeros(len(query), bool)
    normal[inputs["batch_permutation"][: len(query) // 2]] = True

    def clip(run, normal):
        run, normal = ops.convert_to_tensor(run), ops.convert_to_tensor(normal)
        return to_numpy(at_speeds(run, normal, c["speed"]))

    def embed(clip):
        pooled = ops.mean(clip, axis=(1, 2, 3))
        return ops.stack([unit(pooled[:, : c["dim"]]), unit(pooled[:, -c["dim"] :])], axis=1)

    clip_q, same, other = clip(query, normal), clip(key, normal), clip(key, ~normal)
    same, other = embed(same), embed(other)

    def terms(clip):
        embeddings = ops.stack([embed(clip), same, other], axis=1)
        return discrimination_and_ranking(
            embeddings, ops.convert_to_tensor(queue), None, c["T"], c["margin"]
        )

    value, (gradient,) = value_and_grad(lambda x: sum(map(ops.mean, terms(x))), clip_q)
    q, same, other = (to_numpy(x) for x in (embed(ops.convert_to_tensor(clip_q)), same, other))
    lead = {"same": same, "other": other}
    cosines = {name: np.sum(q * k, axis=-1) / c["T"] for name, k in lead.items()}
    negatives = q[:, 0] @ queue.T / c["T"]
    memory = MemoryQueue(c["K"], c["dim"])
    memory.enqueue(np.roll(queue, -c["queue_ptr"], axis=0))  # so that the oldest key comes first
    memory.enqueue(other[:, 0])
    appearance, ranking = (np.mean(to_numpy(t)) for t in terms(ops.convert_to_tensor(clip_q)))
    return {
        "query_clip": np.moveaxis(clip_q, -1, 1),
        "logits_same": np.concatenate([cosines["same"][:, :1], negatives], axis=1),
        "logits_other": np.concatenate([cosines["other"][:, :1], negatives], axis=1),
        "m_pos": cosines["same"][:, 1:],
        "m_neg": cosines["other"][:, 1:],
        "ce_sum": appearance,
        "rank": ranking,
        "loss": np.asarray(value),
        "grad_query_clip": np.moveaxis(gradient, -1, 1),
        "queue_after": np.roll(to_numpy(memory.keys()), c["queue_ptr"], axis=0).T,
    }
