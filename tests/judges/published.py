"""Models as torchvision, timm and transformers publish them, of small widths and depths, with data for each. Needs the three packages.

A row makes a zoo.Case: how the model is made, and its inputs."""

import torch
from torch import nn

import zoo

SAMPLES = 8
VOCABULARY, LENGTH = 61, 12
PACKAGES = ("torchvision", "timm", "transformers")
PLAIN = "plain PyTorch"  # of zoo.py: no package publishes it


def pictures(size, seed=5):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(SAMPLES, 3, size, size, generator=generator)


def vision(name, size=64, **options):
    """By torchvision's name of a constructor, `resnet.ResNet`."""
    def model():
        import torchvision.models
        module, _, constructor = name.rpartition(".")
        place = getattr(torchvision.models, module) if module else torchvision.models
        return getattr(place, constructor)(**options)

    return zoo.Case(model, {"x": pictures(size)})


def resnext():
    from torchvision.models.resnet import Bottleneck, ResNet
    return ResNet(Bottleneck, [1, 1, 1, 1], num_classes=10, groups=8, width_per_group=4)


def narrow_head(model, inputs, width=64):
    """The same classifier with narrow layers: at full width it is most of the model."""
    linear = iter([nn.Linear(inputs, width), nn.Linear(width, width), nn.Linear(width, 10)])
    model.classifier = nn.Sequential(*(next(linear) if isinstance(layer, nn.Linear) else layer for layer in model.classifier))
    return model


def vgg():
    from torchvision.models.vgg import VGG, make_layers
    return narrow_head(VGG(make_layers([16, "M", 32, "M", 48, 48, "M", 64, 64, "M"], batch_norm=True), num_classes=10), 64 * 49)


def alexnet():
    from torchvision.models import alexnet as constructor
    return narrow_head(constructor(num_classes=10), 256 * 36)


def convnext():
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt
    return ConvNeXt([CNBlockConfig(16, 32, 1), CNBlockConfig(32, 48, 2), CNBlockConfig(48, None, 1)], stochastic_depth_prob=0.1, num_classes=10)


def timm_model(name, size=64, **options):
    """By timm's name, with what makes it small."""
    def model():
        import timm
        return timm.create_model(name, num_classes=10, **options)

    return zoo.Case(model, {"x": pictures(size)})


def mixer():
    from timm.models.mlp_mixer import MlpMixer
    return MlpMixer(num_classes=10, img_size=64, patch_size=16, num_blocks=2, embed_dim=32)


def nfnet():
    from timm.models.nfnet import NfCfg, NormFreeNet
    return NormFreeNet(NfCfg(depths=(1, 1, 1, 1), channels=(32, 64, 96, 128), stem_type="deep_quad", group_size=16, width_factor=1.0, bottle_ratio=0.5,
                             extra_conv=True, gamma_in_act=True, same_padding=True, skipinit=True, num_features=0), num_classes=10, drop_path_rate=0.1)


# These make their masks without vmap.
WITHOUT_MASK_FUNCTIONS = {f"{name}ForSequenceClassification" for name in ("Bert", "DistilBert", "Roberta", "Albert", "Electra")}


def language(model, config, training=True, **sizes):
    """By transformers' names of the model and of its configuration."""
    def make():
        import transformers
        from transformers.integrations.executorch import sdpa_mask_without_vmap
        from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

        name = "sdpa_without_vmap"  # torch.export.save cannot write vmap
        ALL_MASK_ATTENTION_FUNCTIONS.register(name, sdpa_mask_without_vmap)
        ALL_ATTENTION_FUNCTIONS.register(name, ALL_ATTENTION_FUNCTIONS["sdpa"])
        made = getattr(transformers, model)(getattr(transformers, config)(vocab_size=VOCABULARY, use_cache=False, **sizes))
        if model not in WITHOUT_MASK_FUNCTIONS:
            made.set_attn_implementation(name)
        return made

    generator = torch.Generator().manual_seed(5)
    inputs = {"input_ids": torch.randint(3, VOCABULARY, (SAMPLES, LENGTH), generator=generator),
              "attention_mask": (torch.arange(LENGTH) < 5 + torch.randint(LENGTH - 5, (SAMPLES, 1), generator=generator)).long()}
    return zoo.Case(make, inputs, training=training, lengths=("input_ids", "attention_mask"))


ENCODER = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, max_position_embeddings=32, num_labels=5)
DECODER = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=48, max_position_embeddings=32)


def cases():
    """By family: who publishes it, and the case."""
    known = zoo.cases(SAMPLES)
    own = {"LSTM": "lstm", "GRU": "gru", "U-Net": "unet", "1-D CNN": "cnn1d", "3-D CNN": "cnn3d", "MLP of a table": "dlrm"}
    return {
        "resnet": ("torchvision", vision("resnet18", num_classes=10)),
        "resnext": ("torchvision", zoo.Case(resnext, {"x": pictures(64)})),
        "vgg": ("torchvision", zoo.Case(vgg, {"x": pictures(64)})),
        "alexnet": ("torchvision", zoo.Case(alexnet, {"x": pictures(96)})),
        "mobilenet v2": ("torchvision", vision("mobilenet_v2", num_classes=10, width_mult=0.5)),
        "mobilenet v3": ("torchvision", vision("mobilenet_v3_small", num_classes=10)),
        "efficientnet": ("torchvision", vision("efficientnet_b0", num_classes=10)),
        "convnext": ("torchvision", zoo.Case(convnext, {"x": pictures(64)})),
        "swin": ("torchvision", vision("swin_transformer.SwinTransformer", patch_size=[4, 4], embed_dim=16, depths=[2, 2], num_heads=[2, 4],
                                       window_size=[7, 7], num_classes=10)),
        "vit": ("torchvision", vision("vision_transformer.VisionTransformer", 32, image_size=32, patch_size=8, num_layers=2, num_heads=4,
                                      hidden_dim=32, mlp_dim=64, num_classes=10)),
        "densenet": ("torchvision", vision("densenet.DenseNet", growth_rate=8, block_config=(2, 3, 2, 2), num_init_features=16, num_classes=10)),
        "squeezenet": ("torchvision", vision("squeezenet1_1", num_classes=10)),
        "shufflenet": ("torchvision", vision("shufflenet_v2_x0_5", num_classes=10)),
        "mnasnet": ("torchvision", vision("mnasnet0_5", num_classes=10)),
        "regnet": ("torchvision", vision("regnet_y_400mf", num_classes=10)),
        "maxvit": ("torchvision", vision("maxvit.MaxVit", input_size=(64, 64), stem_channels=16, partition_size=4, block_channels=[16, 32],
                                         block_layers=[1, 2], head_dim=8, stochastic_depth_prob=0.1, num_classes=10)),
        "mixer": ("timm", zoo.Case(mixer, {"x": pictures(64)})),
        "deit": ("timm", timm_model("deit_tiny_distilled_patch16_224", img_size=64, depth=2, embed_dim=48)),
        "resnetv2": ("timm", timm_model("resnetv2_50", layers=(1, 1, 1, 1), channels=(32, 48, 64, 96))),
        "ghostnet": ("timm", timm_model("ghostnet_050")),
        "poolformer": ("timm", timm_model("poolformer_s12", layers=(1, 1, 1, 1), embed_dims=(16, 24, 32, 48))),
        "edgenext": ("timm", timm_model("edgenext_xx_small", depths=(1, 1, 2, 1))),
        "nfnet": ("timm", zoo.Case(nfnet, {"x": pictures(64)})),
        "BERT": ("transformers", language("BertForSequenceClassification", "BertConfig", **ENCODER)),
        "DistilBERT": ("transformers", language("DistilBertForSequenceClassification", "DistilBertConfig", dim=32, n_layers=2, n_heads=4,
                                                hidden_dim=48, max_position_embeddings=32, num_labels=5)),
        "RoBERTa": ("transformers", language("RobertaForSequenceClassification", "RobertaConfig", **ENCODER)),
        "ALBERT": ("transformers", language("AlbertForSequenceClassification", "AlbertConfig", embedding_size=16, **ENCODER)),
        "ELECTRA": ("transformers", language("ElectraForSequenceClassification", "ElectraConfig", embedding_size=16, **ENCODER)),
        "GPT-2": ("transformers", language("GPT2LMHeadModel", "GPT2Config", n_embd=32, n_layer=2, n_head=4, n_positions=32)),
        "OPT": ("transformers", language("OPTForCausalLM", "OPTConfig", training=False, hidden_size=32, num_hidden_layers=2,
                                         num_attention_heads=4, ffn_dim=48, max_position_embeddings=32, word_embed_proj_dim=32)),
        "Llama": ("transformers", language("LlamaForCausalLM", "LlamaConfig", **DECODER)),
        "Qwen2": ("transformers", language("Qwen2ForCausalLM", "Qwen2Config", **DECODER)),
        "Mistral": ("transformers", language("MistralForCausalLM", "MistralConfig", sliding_window=8, **DECODER)),
        "Gemma": ("transformers", language("GemmaForCausalLM", "GemmaConfig", head_dim=8, **DECODER)),
        "Phi": ("transformers", language("PhiForCausalLM", "PhiConfig", **DECODER)),
        "GPT-NeoX": ("transformers", language("GPTNeoXForCausalLM", "GPTNeoXConfig", hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                                              intermediate_size=48, max_position_embeddings=32)),
        **{family: (PLAIN, known[name]) for family, name in own.items()},
    }
