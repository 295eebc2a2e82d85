"""Settings by the hundred: a good base of each kind, and one change to it with its rule."""

from __future__ import annotations

KEY = "9f2c61e0b7d84a5f3e1c08d92b6a7450c3d8e1f94a2b5067"
OTHER = "1b7de02f6c58a94d30e9f7c4825ab61d7e04f3c9b8a25d16"
PASSWORD = "vP3xT9qLw2Zr8KdNs5"
URL = f"postgresql://app:{PASSWORD}@db.example.org/app?sslmode=verify-full"

ENVIRONMENT = {
    "APP_ENV": "production", "SECRET_KEY": KEY, "JWT_SECRET": OTHER, "DEBUG": "false",
    "HOST": "127.0.0.1", "PORT": "8000", "DATABASE_URL": URL, "DB_USER": "app",
    "ALLOWED_HOSTS": "app.example.org", "CORS_ORIGINS": "https://front.example.org",
    "CORS_ALLOW_CREDENTIALS": "true", "SESSION_COOKIE_SECURE": "true",
    "SESSION_COOKIE_HTTPONLY": "true", "SESSION_COOKIE_SAMESITE": "Lax",
    "SECURE_SSL_REDIRECT": "true", "SECURE_HSTS_SECONDS": "31536000", "LOG_LEVEL": "INFO",
    "MAX_CONTENT_LENGTH": "10485760", "FORWARDED_ALLOW_IPS": "10.0.0.5", "DOCS_ENABLED": "false",
    "AUDIT_LOG_PATH": "/var/log/app/audit.log", "SAFEHOLD_MODE": "enforce",
    "BASE_URL": "https://app.example.org", "TZ": "UTC", "PATH": "/usr/bin", "HOME": "/home/app",
}  # fmt: skip
ENVIRONMENT_BAD = [
    ("SECRET_KEY", "changeme", "SH310"),
    ("SECRET_KEY", "", "SH310"),
    ("SECRET_KEY", "django-insecure-k2v9q8w7e6r5t4y3u2i1o0p9a8s7d6f5g4h3", "SH310"),
    ("SECRET_KEY", "your-256-bit-secret", "SH310"),
    ("SECRET_KEY", "a" * 64, "SH310"),
    ("SECRET_KEY", "0123456789" * 5, "SH310"),
    ("PYNOMALY_SECRET_KEY", "pynomaly-secret-key-change-in-production", "SH310"),
    ("SERIALIZATION_SECRET_KEY", "default", "SH310"),
    ("JWT_SECRET", "secret", "SH310"),
    ("FLASK_SECRET", "hunter2", "SH310"),
    ("APP_SECRET", "shhh", "SH310"),
    ("SESSION_SECRET", "keyboard cat", "SH310"),
    ("ADMIN_PASSWORD", "admin", "SH310"),
    ("REDIS_PASSWORD", "redis", "SH310"),
    ("GRAFANA_ADMIN_PASSWORD", "Password123!", "SH310"),
    ("ENCRYPTION_KEY", "1234567890abcdef", "SH310"),
    ("JWT_SIGNING_KEY", KEY, "SH311"),
    ("SECRET_KEY_ROTATED_AT", "2020-01-01", "SH312"),
    ("DEBUG", "true", "SH302"),
    ("DEBUG", "1", "SH302"),
    ("DEBUG", "yes", "SH302"),
    ("FLASK_DEBUG", "1", "SH302"),
    ("APP_DEBUG", "on", "SH302"),
    ("DJANGO_DEBUG", "True", "SH302"),
    ("debug", "TRUE", "SH302"),
    ("WERKZEUG_DEBUG_PIN", "off", "SH302"),
    ("TESTING", "true", "SH302"),
    ("FLASK_ENV", "development", "SH302"),
    ("UVICORN_RELOAD", "true", "SH313"),
    ("AUTO_RELOAD", "1", "SH313"),
    ("APP_ENV", "development", "SH332"),
    ("CRYPTOSMARTTRADER_ENV", "dev", "SH332"),
    ("PYNOMALY_ENVIRONMENT", "staging", "SH332"),
    ("ENVIRONMENT", "local", "SH332"),
    ("HOST", "0.0.0.0", "SH314"),
    ("BIND", "0.0.0.0:8000", "SH314"),
    ("UVICORN_HOST", "::", "SH314"),
    ("LISTEN_ADDRESS", "[::]:8080", "SH314"),
    ("SECURE_SSL_REDIRECT", "false", "SH315"),
    ("FORCE_HTTPS", "0", "SH315"),
    ("HTTPS_ONLY", "off", "SH315"),
    ("BASE_URL", "http://app.example.org", "SH315"),
    ("OAUTHLIB_INSECURE_TRANSPORT", "1", "SH315"),
    ("EMAIL_USE_TLS", "False", "SH315"),
    ("PREFERRED_URL_SCHEME", "http", "SH315"),
    ("SECURE_HSTS_SECONDS", "0", "SH316"),
    ("SECURE_HSTS_SECONDS", "3600", "SH316"),
    ("HSTS_ENABLED", "false", "SH316"),
    ("HSTS_MAX_AGE", "300", "SH316"),
    ("SESSION_COOKIE_SECURE", "false", "SH317"),
    ("SESSION_COOKIE_HTTPONLY", "0", "SH317"),
    ("SESSION_COOKIE_SAMESITE", "None", "SH317"),
    ("CSRF_COOKIE_SECURE", "False", "SH317"),
    ("COOKIE_SECURE", "no", "SH317"),
    ("JWT_COOKIE_SECURE", "false", "SH317"),
    ("REMEMBER_COOKIE_SECURE", "false", "SH317"),
    ("SESSION_COOKIE_AGE", "31536000", "SH318"),
    ("ACCESS_TOKEN_EXPIRE_MINUTES", "100000", "SH318"),
    ("JWT_ACCESS_TOKEN_EXPIRES", "false", "SH318"),
    ("WTF_CSRF_ENABLED", "False", "SH334"),
    ("CORS_ORIGINS", "*", "SH319"),
    ("CORS_ORIGINS", '["*"]', "SH319"),
    ("CORS_ALLOW_ALL_ORIGINS", "True", "SH319"),
    ("BACKEND_CORS_ORIGINS", "https://a.example.org,*", "SH319"),
    ("ALLOWED_ORIGINS", "*", "SH319"),
    ("ACCESS_CONTROL_ALLOW_ORIGIN", "*", "SH319"),
    ("ALLOWED_HOSTS", "*", "SH320"),
    ("ALLOWED_HOSTS", '["app.example.org", "*"]', "SH320"),
    ("TRUSTED_HOSTS", "*", "SH320"),
    ("DATABASE_URL", f"postgresql://app:{PASSWORD}@db.example.org/app", "SH251"),
    ("DATABASE_URL", f"postgresql://app:{PASSWORD}@db.example.org/app?sslmode=disable", "SH251"),
    ("DATABASE_URL", "postgresql://app:postgres@localhost/app", "SH252"),
    ("DATABASE_URL", f"postgresql://postgres:{PASSWORD}@localhost/app", "SH253"),
    ("SQLALCHEMY_DATABASE_URI", "mysql+pymysql://app:app@localhost/app", "SH252"),
    ("CELERY_BROKER_URL", "amqp://guest:guest@localhost:5672//", "SH252"),
    ("REDIS_URL", "redis://:redis@localhost:6379/0", "SH252"),
    ("DB_USER", "root", "SH253"),
    ("PGUSER", "postgres", "SH253"),
    ("PGSSLMODE", "disable", "SH251"),
    ("DB_SSLMODE", "prefer", "SH251"),
    ("MYSQL_ALLOW_EMPTY_PASSWORD", "yes", "SH252"),
    ("POSTGRES_HOST_AUTH_METHOD", "trust", "SH252"),
    ("AUDIT_LOG_PATH", "/tmp/audit.log", "SH321"),
    ("AUDIT_ENABLED", "false", "SH321"),
    ("TRAIL_PATH", "/dev/shm/trail", "SH321"),
    ("SAFEHOLD_MODE", "monitor", "SH322"),
    ("SAFEHOLD_MODE", "off", "SH322"),
    ("TRUST_REMOTE_CODE", "true", "SH322"),
    ("SECRET_KEY_FILE", "/tmp/key-of-another-machine", "SH323"),
    ("MAX_CONTENT_LENGTH", "0", "SH325"),
    ("MAX_UPLOAD_SIZE", "unlimited", "SH325"),
    ("REQUEST_TIMEOUT", "0", "SH325"),
    ("RATE_LIMIT_ENABLED", "false", "SH325"),
    ("DISABLE_RATE_LIMIT", "1", "SH325"),
    ("FORWARDED_ALLOW_IPS", "*", "SH326"),
    ("TRUSTED_PROXIES", "0.0.0.0/0", "SH326"),
    ("TRUST_PROXY", "true", "SH326"),
    ("WAF_ENABLED", "false", "SH326"),
    ("DOCS_ENABLED", "true", "SH327"),
    ("DOCS_URL", "/docs", "SH327"),
    ("SWAGGER_UI_ENABLED", "1", "SH327"),
    ("LOG_LEVEL", "DEBUG", "SH328"),
    ("LOGLEVEL", "trace", "SH328"),
    ("SQLALCHEMY_ECHO", "True", "SH328"),
    ("PROPAGATE_EXCEPTIONS", "true", "SH329"),
    ("SHOW_TRACEBACK", "1", "SH329"),
    ("ERROR_DETAIL", "full", "SH329"),
    ("RUN_AS_ROOT", "true", "SH330"),
    ("C_FORCE_ROOT", "1", "SH330"),
    ("VERIFY_SSL", "false", "SH505"),
    ("PYTHONHTTPSVERIFY", "0", "SH505"),
    ("NODE_TLS_REJECT_UNAUTHORIZED", "0", "SH505"),
    ("CELERY_TASK_SERIALIZER", "pickle", "SH335"),
    ("CELERY_ACCEPT_CONTENT", "json,pickle", "SH335"),
    ("JWT_ALGORITHM", "none", "SH336"),
]

FILES = {
    "settings.py": f"""import os

INSTALLED_APPS = ["django.contrib.sessions"]
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware"]
SECRET_KEY = os.environ["SECRET_KEY"]
DEBUG = os.environ.get("DEBUG", "False") == "True"
ALLOWED_HOSTS = ["app.example.org"]
SECURE_SSL_REDIRECT = True
SECURE_HSTS_SECONDS = 31536000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
SESSION_COOKIE_AGE = 60 * 60 * 24 * 14
DATABASES = {{"default": {{"ENGINE": "x", "USER": "app", "PASSWORD": os.environ["DB_PASSWORD"],
                         "OPTIONS": {{"sslmode": "verify-full"}}}}}}
LOGGING = {{"version": 1, "root": {{"level": "INFO"}}}}
# {KEY}
""",
    "config.yaml": """
server:
  host: 127.0.0.1
  reload: false
  docs_url: null
security:
  force_https: true
  hsts: {max_age: 31536000}
cors:
  allow_origins: [https://front.example.org]
  allow_credentials: true
session:
  cookie: {secure: true, httponly: true, samesite: strict}
logging: {level: INFO}
auth:
  jwt_secret: ${JWT_SECRET}
""",
    "config.toml": """
[server]
host = "127.0.0.1"
debug = false
[limits]
max_body_size = 1048576
[auth]
secret_key = "${SECRET_KEY}"
""",
    "config.json": '{"app": {"debug": false, "bind": "127.0.0.1:80", "allowed_hosts": ["a.example.org"]}}',
    "Dockerfile": """FROM python:3.12.4-slim AS build
RUN pip install --no-cache-dir flask==3.0.3
FROM python:3.12.4-slim
COPY --from=build /app /app
ENV APP_ENV=production
USER app
CMD ["gunicorn", "--bind", "0.0.0.0:8000", "app:app"]
""",
    "docker-compose.yml": f"""services:
  web:
    image: registry.example.org/app:1.4.2
    user: "1000"
    mem_limit: 1g
    ports: ["127.0.0.1:8000:8000"]
    environment:
      SECRET_KEY: ${{SECRET_KEY}}
      DATABASE_URL: postgresql://app@db/app
      APP_ENV: production
  db:
    image: postgres:16.3
    user: postgres
    deploy: {{resources: {{limits: {{memory: 1g}}}}}}
# {KEY}
""",
    "gunicorn.conf.py": """bind = "127.0.0.1:8000"
workers = 4
timeout = 30
reload = False
limit_request_line = 4094
forwarded_allow_ips = "10.0.0.5"
""",
    "Procfile": "web: uvicorn app:app --host 127.0.0.1 --log-level info --limit-concurrency 100\n",
    "main.py": """from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
app.add_middleware(CORSMiddleware, allow_origins=["https://front.example.org"], allow_credentials=True)
""",
    "requirements.txt": "flask==3.0.3\njinja2==3.1.4  # templates\n",
    "safehold.toml": 'version = 1\nmode = "enforce"\n[trail]\npath = "var/safehold/trail"\n',
    "deployment.yaml": """apiVersion: apps/v1
kind: Deployment
spec:
  template:
    spec:
      securityContext: {runAsNonRoot: true}
      containers:
        - name: web
          image: app:1.2
          resources: {limits: {memory: 1Gi}}
          env:
            - {name: APP_ENV, value: production}
""",
}
FILES_BAD = [
    ("settings.py", 'DEBUG = os.environ.get("DEBUG", "False") == "True"', "DEBUG = True", "SH302"),
    ("settings.py", '"DEBUG", "False") == "True"', '"DEBUG", "True") == "True"', "SH302"),
    ("settings.py", 'os.environ["SECRET_KEY"]', 'os.environ.get("SECRET_KEY", "dev-only")', "SH303"),
    ("settings.py", 'os.environ["SECRET_KEY"]', f'"{KEY}"', "SH301"),
    ("settings.py", 'os.environ["SECRET_KEY"]', '"django-insecure-abc"', "SH310"),
    ("settings.py", '["app.example.org"]', '["*"]', "SH320"),
    ("settings.py", "SECURE_SSL_REDIRECT = True\n", "", "SH315"),
    ("settings.py", "SECURE_HSTS_SECONDS = 31536000\n", "", "SH316"),
    ("settings.py", "SESSION_COOKIE_SECURE = True\n", "", "SH317"),
    ("settings.py", "60 * 60 * 24 * 14", "60 * 60 * 24 * 365", "SH318"),
    ("settings.py", '"USER": "app"', '"USER": "postgres"', "SH253"),
    ("settings.py", "verify-full", "allow", "SH251"),
    ("settings.py", '"INFO"', '"DEBUG"', "SH328"),
    ("config.yaml", "host: 127.0.0.1", "host: 0.0.0.0", "SH314"),
    ("config.yaml", "reload: false", "reload: true", "SH313"),
    ("config.yaml", "docs_url: null", "docs_url: /docs", "SH327"),
    ("config.yaml", "force_https: true", "force_https: no", "SH315"),
    ("config.yaml", "max_age: 31536000", "max_age: 0", "SH316"),
    ("config.yaml", "[https://front.example.org]", '["*"]', "SH319"),
    ("config.yaml", "secure: true", "secure: false", "SH317"),
    ("config.yaml", "samesite: strict", "samesite: none", "SH317"),
    ("config.yaml", "level: INFO", "level: DEBUG", "SH328"),
    ("config.yaml", "${JWT_SECRET}", KEY, "SH301"),
    ("config.toml", "debug = false", "debug = true", "SH302"),
    ("config.toml", "1048576", "0", "SH325"),
    ("config.json", '"debug": false', '"debug": true', "SH302"),
    ("config.json", "127.0.0.1:80", "0.0.0.0:80", "SH314"),
    ("config.json", "a.example.org", "*", "SH320"),
    ("Dockerfile", "USER app\n", "", "SH330"),
    ("Dockerfile", "USER app", "USER 0", "SH330"),
    ("Dockerfile", "python:3.12.4-slim\nCOPY", "python\nCOPY", "SH331"),
    ("Dockerfile", "flask==3.0.3", "flask", "SH331"),
    ("Dockerfile", "APP_ENV=production", f"SECRET_KEY={KEY}", "SH301"),
    ("Dockerfile", '"--bind"', '"--reload", "--bind"', "SH313"),
    ("docker-compose.yml", "${SECRET_KEY}", "${SECRET_KEY:-changeme}", "SH303"),
    ("docker-compose.yml", "${SECRET_KEY}", KEY, "SH301"),
    ("docker-compose.yml", 'user: "1000"', "user: root", "SH330"),
    ("docker-compose.yml", 'user: "1000"', "privileged: true", "SH330"),
    ("docker-compose.yml", "    mem_limit: 1g\n", "", "SH325"),
    ("docker-compose.yml", "app:1.4.2", "app:latest", "SH331"),
    ("docker-compose.yml", "    user: postgres\n", "    ports: ['5432:5432']\n", "SH314"),
    ("docker-compose.yml", "    user: postgres\n", "    network_mode: host\n", "SH330"),
    ("docker-compose.yml", "    user: postgres\n",
     "    volumes: ['/var/run/docker.sock:/var/run/docker.sock']\n", "SH330"),
    ("docker-compose.yml", "app@db/app", "app:app@db/app", "SH252"),
    ("docker-compose.yml", "APP_ENV: production", "APP_ENV: development", "SH332"),
    ("gunicorn.conf.py", "127.0.0.1", "0.0.0.0", "SH314"),
    ("gunicorn.conf.py", "timeout = 30", "timeout = 0", "SH325"),
    ("gunicorn.conf.py", "reload = False", "reload = True", "SH313"),
    ("gunicorn.conf.py", "10.0.0.5", "*", "SH326"),
    ("gunicorn.conf.py", "limit_request_line = 4094", "limit_request_line = 0", "SH325"),
    ("Procfile", "127.0.0.1", "0.0.0.0", "SH314"),
    ("Procfile", "info", "debug", "SH328"),
    ("Procfile", "--limit-concurrency 100", "--reload", "SH313"),
    ("Procfile", "--limit-concurrency 100", "--forwarded-allow-ips='*'", "SH326"),
    ("main.py", "docs_url=None, redoc_url=None, openapi_url=None", "", "SH327"),
    ("main.py", "docs_url=None, ", "docs_url=None, debug=True, ", "SH302"),
    ("main.py", '"https://front.example.org"', '"*"', "SH319"),
    ("requirements.txt", "flask==3.0.3", "flask>=3", "SH331"),
    ("safehold.toml", '"enforce"', '"monitor"', "SH322"),
    ("safehold.toml", "var/safehold/trail", "/tmp/trail", "SH321"),
    ("deployment.yaml", "runAsNonRoot: true", "runAsUser: 0", "SH330"),
    ("deployment.yaml", "{limits: {memory: 1Gi}}", "{}", "SH325"),
    ("deployment.yaml", "name: APP_ENV, value: production", "name: DEBUG, value: 'true'", "SH302"),
]  # fmt: skip

GOOD_ENVIRONMENTS = [
    ENVIRONMENT, {}, {"PATH": "/bin", "LANG": "C.UTF-8", "HOSTNAME": "a1", "PWD": "/srv/app"},
    *({**ENVIRONMENT, name: value} for name, value in [
        ("DEBUG", "0"), ("DEBUG", "off"), ("DEBUG", ""), ("LOG_LEVEL", "warning"),
        ("APP_ENV", "prod"), ("HOST", "localhost"), ("HOST", "10.1.2.3"), ("HOST", "::1"),
        ("DATABASE_URL", "sqlite:///data.db"), ("DATABASE_URL", "postgresql:///app"),
        ("SESSION_COOKIE_SAMESITE", "Strict"), ("ALLOWED_HOSTS", ".example.org"),
        ("CORS_ORIGINS", "https://a.example.org,https://b.example.org"),
        ("SECRET_KEY_FILE", "/run/secrets/key"), ("MAX_CONTENT_LENGTH", "16MB"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "15"), ("REFRESH_TOKEN_EXPIRE_DAYS", "30"),
        ("TOKEN_TYPE", "bearer"), ("API_KEY", "sk-9Zf3mB7xT2kLw8Rv5Yd"), ("WORKERS", "4"),
        ("CELERY_TASK_SERIALIZER", "json"), ("JWT_ALGORITHM", "HS256"), ("VERIFY_SSL", "true"),
        ("DB_HOST", "db.internal"), ("SMTP_HOST", "mail.example.org"), ("CACHE_TIMEOUT", "0"),
        ("DISABLE_CSRF", "false"), ("EMAIL_USE_SSL", "true"), ("DOCS_URL", ""), ("AUDIT_LOG_LEVEL", "info"),
    ]),
]  # fmt: skip
