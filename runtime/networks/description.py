"""Networks as profiles/ describes them: by the sizes that their work and their bytes follow from."""

from __future__ import annotations

from ondevice_sora.profiles.models.opensora_sizes import (
    DecoderConfig,
    DenoiserConfig,
    OpenSoraConfig,
    TextEncoderConfig,
)
from ondevice_sora.runtime.networks.components import TextToVideo


def described_sizes(model: TextToVideo, encoder_tokens: int) -> OpenSoraConfig:
    """The sizes of a model whose prompts are padded to `encoder_tokens`.

    A VAE's decoding half has one residual block a level more than its configuration says of the encoding half.
    """
    text, denoiser, decoder = model.text_encoder.config, model.denoiser.config, model.decoder.config
    return OpenSoraConfig(
        text_encoder=TextEncoderConfig(
            layers=text.num_layers,
            hidden=text.d_model,
            heads=text.num_heads,
            head_width=text.d_kv,
            feed_forward=text.d_ff,
            vocabulary=text.vocab_size,
            relative_buckets=text.relative_attention_num_buckets,
            tokens=encoder_tokens,
        ),
        denoiser=DenoiserConfig(
            depth=denoiser.depth,
            hidden=denoiser.hidden_size,
            heads=denoiser.num_heads,
            patch=denoiser.patch_size[1],
            mlp_ratio=round(denoiser.mlp_ratio),
            embed_frames=denoiser.embed_frames,
        ),
        decoder=DecoderConfig(
            temporal_filters=decoder.temporal.filters,
            temporal_multipliers=decoder.temporal.channel_multipliers,
            temporal_upsample=decoder.temporal.temporal_downsample,
            temporal_res=decoder.temporal.num_res_blocks,
            spatial_widths=decoder.spatial.block_out_channels,
            spatial_res=decoder.spatial.layers_per_block + 1,
            group_frames=decoder.chunk_frames,
            batch_frames=decoder.batch_frames,
        ),
        latent_channels=decoder.temporal.embed_dim,
    )
