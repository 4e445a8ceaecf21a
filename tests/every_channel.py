"""Invented settings with which every messaging platform is switched on."""

EVERY_CHANNEL = {
    "KEFU_TELEGRAM_TOKEN": "123456:an-invented-token-of-the-tests",
    "KEFU_TELEGRAM_WEBHOOK_SECRET": "an_invented_webhook_secret",
    "KEFU_SLACK_BOT_TOKEN": "xoxb-invented",
    "KEFU_SLACK_SIGNING_SECRET": "an invented signing secret",
    "KEFU_WEBHOOK_SECRET": "an invented secret of at least 32 characters",
    "KEFU_WEBHOOK_CALLBACK_URL": "http://127.0.0.1:9/callback",
    "KEFU_WHATSAPP_ACCESS_TOKEN": "invented",
    "KEFU_WHATSAPP_APP_SECRET": "invented",
    "KEFU_WHATSAPP_VERIFY_TOKEN": "invented",
    "KEFU_MESSENGER_ACCESS_TOKEN": "invented",
    "KEFU_MESSENGER_APP_SECRET": "invented",
    "KEFU_MESSENGER_VERIFY_TOKEN": "invented",
    "KEFU_WECHAT_APP_ID": "wx-invented",
    "KEFU_WECHAT_TOKEN": "invented",
    "KEFU_WECHAT_APP_SECRET": "invented",
    "KEFU_WECOM_CORP_ID": "ww-invented",
    "KEFU_WECOM_SECRET": "invented",
    "KEFU_WECOM_TOKEN": "invented",
    "KEFU_WECOM_ENCODING_AES_KEY": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
}
