"""The TensorFlow peer: MultiWorkerMirroredStrategy, one process per rank. Without TF_CONFIG it starts the ranks."""

import json
import os
import socket
import subprocess
import sys

import task


def start_ranks():
    sockets = [socket.create_server(("localhost", 0)) for _ in range(task.RANKS)]
    workers = [f"localhost:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    ranks = []
    for rank in range(task.RANKS):
        config = json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": rank}})
        ranks.append(subprocess.Popen([sys.executable, *sys.argv], env={**os.environ, "TF_CONFIG": config}))
    return max(abs(rank.wait()) for rank in ranks)


def native(name, array):
    """A tensor of the program in TensorFlow's layout."""
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)  # OIHW to HWIO
    if name == "fc1.weight":  # its columns count channel, row, column; here the channel comes last
        return array.reshape(128, 64, 7, 7).transpose(2, 3, 1, 0).reshape(-1, 128)
    return array.T


def train(job):
    import numpy as np
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    rank = strategy.cluster_resolver.task_id
    arrays = {name: native(name, array) for name, array in np.load(job.weights).items() if array.ndim > 0}
    norm = "block1.norm.weight" in arrays
    statistics = dict(trainable=False, synchronization=tf.VariableSynchronization.ON_READ,  # every rank has its own
                      aggregation=tf.VariableAggregation.MEAN)
    with strategy.scope():
        state = {name: tf.Variable(array, **statistics if "running" in name else {}) for name, array in arrays.items()}
        trained = [variable for name, variable in state.items() if "running" not in name]
        velocities = [tf.Variable(tf.zeros_like(variable), trainable=False) for variable in trained]
    images, labels = task.rank_data(job, rank)
    images, labels = tf.constant(images[..., None]), tf.constant(labels.astype(np.int32))

    def block(x, name):
        x = tf.nn.bias_add(tf.nn.conv2d(x, state[name + ".conv.weight"], 1, "SAME"), state[name + ".conv.bias"])
        if norm:
            mean, variance = state[name + ".norm.running_mean"], state[name + ".norm.running_var"]
            x, new_mean, new_variance, *_ = tf.raw_ops.FusedBatchNormV3(
                x=x, scale=state[name + ".norm.weight"], offset=state[name + ".norm.bias"], mean=mean,
                variance=variance, epsilon=1e-5, exponential_avg_factor=0.1)  # the new value's weight
            mean.assign(new_mean)
            variance.assign(new_variance)
        return tf.nn.max_pool2d(tf.nn.relu(x), 2, 2, "VALID")

    def forward(x):
        x = tf.reshape(block(block(x, "block1"), "block2"), [job.micro_batch, -1])
        x = tf.nn.relu(tf.nn.bias_add(tf.matmul(x, state["fc1.weight"]), state["fc1.bias"]))
        return tf.nn.bias_add(tf.matmul(x, state["fc2.weight"]), state["fc2.bias"])

    def sgd(variable, velocity, gradient):
        tf.raw_ops.ResourceApplyMomentum(var=variable.handle, accum=velocity.handle, lr=task.LEARNING_RATE,
                                         grad=gradient, momentum=task.MOMENTUM)

    def update(strategy, gradients):
        for variable, velocity, gradient in zip(trained, velocities, gradients):
            strategy.extended.update(variable, sgd, args=(velocity, gradient), group=False)

    def step(x, y):
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, forward(tf.cast(x, tf.float32) / 255))
            loss = tf.reduce_sum(losses) / (task.RANKS * job.micro_batch)
        replica = tf.distribute.get_replica_context()
        gradients = replica.all_reduce(tf.distribute.ReduceOp.SUM, tape.gradient(loss, trained))
        replica.merge_call(update, args=(gradients,))
        return loss

    @tf.function
    def steps(first, count):
        loss = tf.zeros([])
        for i in tf.range(first, first + count):
            at = i * job.micro_batch
            x = tf.slice(images, [at, 0, 0, 0], [job.micro_batch, 28, 28, 1])
            y = tf.slice(labels, [at], [job.micro_batch])
            loss = strategy.run(step, args=(x, y))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, loss, axis=None)

    done = 0
    while done < job.steps:
        count = 1 if done == 0 else task.REPORT_EVERY - done % task.REPORT_EVERY
        loss = steps(tf.constant(done), tf.constant(count))
        done += count
        if rank == 0:
            task.report(done, float(loss))


if "TF_CONFIG" in os.environ:
    train(task.arguments())
else:
    sys.exit(start_ranks())
